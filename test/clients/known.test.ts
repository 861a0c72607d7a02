/** What `src/base/clients/known.ts` does for the clients in its table. */
import { describe, expect, test } from 'vitest';
import { knownClient } from '../../src/base/clients/known.ts';
import type { McpEndpointOptions } from '../../src/index.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { createLab, textOf, tool } from '../kit/lab.ts';
import { callModern, postModern } from '../kit/modern.ts';
import { serve } from '../kit/serve.ts';
import { until } from '../kit/until.ts';

const [, hold] = tool('hold');
const RETRY_MS = 4_000;
const SOON_MS = 100;
/** When the clean end comes after a resume. */
const CLEAN_END_MS = 400;

interface Who {
  readonly userAgent?: string;
  readonly name?: string;
  readonly protocolVersion?: string;
}

async function open(
  { userAgent, name = 'mcp', protocolVersion = '2025-11-25' }: Who,
  options: McpEndpointOptions = {},
) {
  const lab = createLab();
  const time = createFakeTime();
  const served = await serve(lab.factory, { timeProvider: time, ...options });
  const client = await served.openSession(
    { protocolVersion, clientInfo: { name, version: '1' } },
    userAgent === undefined ? {} : { headers: { 'user-agent': userAgent } },
  );
  /** A call of `hold`, whose stream has its first event. */
  const call = async (): Promise<{ response: RawResponse; id: string }> => {
    const response = await client.post({
      jsonrpc: '2.0',
      id: 'held',
      method: 'tools/call',
      params: hold,
    });
    const { id = '' } = await response.next();
    return { response, id };
  };
  return { lab, time, ...served, client, call };
}

const PYTHON: Who = { userAgent: 'python-httpx/0.28.1' };
/** `mcp` 2.x. */
const PYTHON_2: Who = { userAgent: 'python-httpx2/2.16.2' };

/** Comes back for a stream, and reads its first event. */
async function resume(client: RawClient, lastEventId: string | undefined) {
  const response = await client.get(lastEventId === undefined ? {} : { lastEventId });
  const first = await response.next();
  return { response, id: first.id ?? '', first };
}

const ids = ({ events }: RawResponse): (string | undefined)[] =>
  events.flatMap(({ id }) => id ?? []);

test.each([
  [PYTHON_2, 30],
  [{ userAgent: 'node' }, 15_000],
])(
  'the stream of a 2026-07-28 call of a Python client begins early: %o after %i ms',
  async ({ userAgent }, ms) => {
    const lab = createLab();
    const time = createFakeTime();
    const { client } = await serve(lab.factory, { timeProvider: time });
    let status = 0;
    const headers = { 'user-agent': userAgent };
    const called = postModern(client(), 'tools/call', hold, { headers }).then((head) => {
      status = head.status;
      return head;
    });
    await lab.held();
    await time.advance(ms - 1);
    await callModern(client(), 'tools/list'); // time enough for a head to arrive
    expect(status).toBe(0);
    await time.advance(1);
    expect(await (await called).next()).toMatchObject({ id: expect.any(String), data: '' });
  },
);

describe('a Python client survives a stream that breaks again and again', () => {
  test.each([
    ['of a call', PYTHON],
    ['GET', PYTHON],
    ['of a call', PYTHON_2],
    ['GET', PYTHON_2],
  ])('the stream %s of %o ends cleanly once after each break', async (kind, who) => {
    const { client, call, lab, time, log } = await open(who);
    let at: { response: RawResponse; id: string } =
      kind === 'GET' ? await resume(client, undefined) : await call();
    for (let n = 0; n < 3; n++) {
      at.response.abort();
      const broken = await resume(client, at.id);
      await time.advance(CLEAN_END_MS);
      await broken.response.untilEnd();
      expect(broken.response.ending).toBe('complete');
      // Its last event makes it come back at once, and has a new id.
      expect(broken.response.events.at(-1)).toMatchObject({ retry: SOON_MS, data: '' });
      expect(new Set([at.id, ...ids(broken.response)]).size).toBe(3);
      at = await resume(client, broken.response.events.at(-1)?.id);
      // That was no break.
      await time.advance(10 * CLEAN_END_MS);
      expect(at.response.ending).toBeUndefined();
    }
    if (kind !== 'GET') {
      (await lab.held()).answer('done');
      await at.response.untilEnd();
      expect(textOf(at.response.events.at(-1)?.message)).toBe('done');
    }
    expect(log.matching(/known client/, 'debug')[0]?.fields).toMatchObject({
      client: 'Python SDK',
      quirk: 'clean-end',
    });
  });

  test('an answer that comes first ends the stream, and nothing ends twice', async () => {
    const { client, call, lab, time } = await open(PYTHON);
    const { response, id } = await call();
    response.abort();
    const broken = await resume(client, id);
    (await lab.held()).answer('done');
    await broken.response.untilEnd();
    expect(textOf(broken.response.events.at(-1)?.message)).toBe('done');
    await time.advance(CLEAN_END_MS);
    expect((await client.call('ping')).message.result).toEqual({});
  });

  test('a client that did not read the end gets another one', async () => {
    const { client, call, time } = await open(PYTHON);
    const { response, id } = await call();
    response.abort();
    const broken = await resume(client, id);
    await time.advance(CLEAN_END_MS);
    await broken.response.untilEnd();
    // Its connection broke before the last event.
    const again = await resume(client, id);
    await time.advance(CLEAN_END_MS);
    await again.response.untilEnd();
    expect(again.response.ending).toBe('complete');
  });

  test.each([
    ['with another User-Agent', { userAgent: 'node' }],
    ['before 2025-11-25', { ...PYTHON, protocolVersion: '2025-06-18' }],
  ])('not %s', async (_, who) => {
    const { client, call, time } = await open(who);
    const { response, id } = await call();
    response.abort();
    const broken = await resume(client, id);
    expect(broken.first.retry).toBe(RETRY_MS);
    await time.advance(10 * CLEAN_END_MS);
    expect([broken.response.ending, ids(broken.response).length]).toEqual([undefined, 1]);
  });
});

describe.each([
  ['the AI SDK', 'ai-sdk-mcp-client'],
  ['VS Code', 'Visual Studio Code'],
])('the answer of a call whose stream broke reaches the GET stream of %s', (_, name) => {
  /** A call whose stream breaks and is never resumed. */
  const broken = async (who: Who) => {
    const opened = await open(who);
    const get = await opened.client.get();
    await get.next();
    const { response } = await opened.call();
    const held = await opened.lab.held();
    response.abort();
    return { ...opened, get, held };
  };

  test.each(['2025-03-26', '2025-11-25'])('as it comes (%s)', async (protocolVersion) => {
    const { get, held, client } = await broken({ name, protocolVersion });
    // The server notices that the connection is closed.
    await client.call('ping');
    await until(() => (held.answer('done'), get.messages.length === 1), { what: 'the answer' });
    expect(get.messages).toMatchObject([{ id: 'held', result: { content: [{ text: 'done' }] } }]);
    await client.call('ping');
    expect(get.messages.length).toBe(1);
  });

  test('and a stream that was read does not', async () => {
    const { client, call, lab } = await open({ name });
    const get = await client.get();
    await get.next();
    const { response } = await call();
    (await lab.held()).answer('done');
    await response.untilEnd();
    await client.call('ping');
    expect(get.messages).toEqual([]);
  });

  test('not with another client', async () => {
    const { get, held, client } = await broken({ name: `${name}-like` });
    await client.call('ping');
    held.answer('done');
    await client.call('ping');
    await client.call('ping');
    expect(get.messages).toEqual([]);
  });
});

describe('the table', () => {
  test.each([
    ['x'.repeat(100_000), 'y'.repeat(100_000)],
    ['', ''],
    ['python-httpx', 'ai-sdk-mcp-client '],
    [' python-httpx/1', 'my Visual Studio Code'],
  ])('an odd name is no known client: %.20s', (userAgent, name) => {
    for (const quirk of ['clean-end', 'answer-on-get'] as const)
      expect(
        knownClient(quirk, { userAgent, clientInfo: { name }, protocol: '2025-11-25' }),
      ).toBeUndefined();
  });
});
