/** A session may outlive its requests by hours, so it must not hold on to their responses. */
import { createServer, type ServerResponse } from 'node:http';
import type { McpServer } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import { createMcpEndpoint } from '../../src/index.ts';
import { gc } from '../kit/gc.ts';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { clientBehind } from '../kit/listening.ts';

interface Ground {
  readonly client: RawClient;
  /** The response of its `initialize`, while it is still there. */
  readonly opening: WeakRef<ServerResponse> | undefined;
  /** Those of its GETs. */
  readonly responses: Array<WeakRef<ServerResponse>>;
  say(data: string): Promise<void>;
}

async function session(protocolVersion: string): Promise<Ground> {
  let server!: McpServer;
  const endpoint = createMcpEndpoint(toolServer({}, (made) => (server = made)));
  let opening: WeakRef<ServerResponse> | undefined;
  const responses: Array<WeakRef<ServerResponse>> = [];
  const http = createServer((req, res) => {
    if (req.method === 'GET') responses.push(new WeakRef(res));
    else opening ??= new WeakRef(res);
    endpoint.node(req, res);
  });
  const client = await clientBehind(http, endpoint);
  await client.initialize({ protocolVersion });
  return {
    client,
    opening,
    responses,
    say: (data) => server.server.sendLoggingMessage({ level: 'error', data }),
  };
}

const collected = (response: WeakRef<ServerResponse> | undefined): Promise<boolean> =>
  until(
    () => {
      gc();
      return response !== undefined && response.deref() === undefined;
    },
    { what: 'the response is garbage' },
  );

const logged = (data: string): object => ({
  method: 'notifications/message',
  params: { level: 'error', data },
});

describe.each([['2025-06-18'], ['2025-11-25']])('at %s', (version) => {
  test('B44 the response of a GET is let go of when its client goes away', async () => {
    const { client, responses } = await session(version);
    const get = await client.get();
    gc();
    get.abort();
    await collected(responses[0]);
    expect((await client.call('ping')).response.status).toBe(200);
  });

  test('B44 and when the newer GET ends that took over from it', async () => {
    const { client, responses, say } = await session(version);
    const first = await client.get();
    const second = await client.get();
    await say('to the newer');
    expect(await second.nextMessage()).toMatchObject(logged('to the newer'));
    second.abort();
    await first.untilEnd();
    await client.call('ping'); // takes the first one's connection: Node itself holds the last response of one
    await collected(responses[0]);
    await collected(responses[1]);
    const third = await client.get();
    await say('still here');
    await until(() =>
      third.events.some(({ message }) => JSON.stringify(message ?? '').includes('still here')),
    );
  });
});

test('a session does not hold the request that opened it, nor its connection', async () => {
  const { client, opening } = await session('2025-11-25');
  client.close();
  await collected(opening);
  expect((await client.call('ping')).response.status).toBe(200);
});

test('B44 with an event log, what is sent later is still kept', async () => {
  const { client, responses, say } = await session('2025-11-25');
  const get: RawResponse = await client.get();
  const { id } = await get.next();
  get.abort();
  await collected(responses[0]);
  await say('kept');
  expect(await (await client.get({ lastEventId: id })).nextMessage()).toMatchObject(logged('kept'));
});
