import { createServer } from 'node:http';
import { describe, expect, test } from 'vitest';
import { createMcpEndpoint, type McpEndpointOptions } from '../../src/index.ts';
import { usePerSession } from '../kit/making-servers.ts';
import { createLab, tool } from '../kit/lab.ts';
import { createLog } from '../kit/log.ts';
import { serve } from '../kit/serve.ts';
import { until } from '../kit/until.ts';
import { hashOf } from '../kit/log.ts';
import { clientBehind } from '../kit/listening.ts';
import { inLab } from '../kit/sessions.ts';

// These tests look at the server of each session.
usePerSession();

/** A run hook that comes back only when it is let go. */
function slowRun() {
  let finish!: () => void;
  const finished = new Promise<void>((resolve) => (finish = resolve));
  const reasons: string[] = [];
  const handler: McpEndpointOptions['runSessionHandler'] = async (_request, _session, run) => {
    reasons.push(await run());
    await finished;
  };
  return { handler, reasons, finish };
}

describe('B66 close()', () => {
  test(
    'B45 ends every session: running requests get an error, GETs end, servers are closed',
    { timeout: 5_000 },
    async () => {
      const lab = createLab();
      const { endpoint, client } = await serve(lab.factory);
      const [running, reading, idle] = [client(), client(), client()];
      await Promise.all([running.initialize(), reading.initialize(), idle.initialize()]);
      const stream = await reading.get();
      const called = running.call(...tool('hold'));
      const { ctx } = await lab.held();
      await endpoint.close();
      expect(lab.made.map(({ closed }) => closed)).toEqual([true, true, true]);
      expect(endpoint.sessions.count).toBe(0);
      expect(ctx.mcpReq.signal.aborted).toBe(true);
      expect((await called).message.error).toMatchObject({ code: -32000, data: { reason: 'closed' } });
      await stream.untilEnd();
      expect(stream.ending).toBe('complete');
    },
  );

  test('waits for the sessions to be disposed of', async () => {
    const run = slowRun();
    const { endpoint, client } = await serve(createLab().factory, { runSessionHandler: run.handler });
    await client().initialize();
    let closed = false;
    const closing = endpoint.close().then(() => (closed = true));
    await until(() => run.reasons.length === 1);
    await new Promise((turn) => setImmediate(turn));
    expect(closed).toBe(false);
    run.finish();
    await closing;
  });

  test('logs what fails in one session and closes the others', async () => {
    const lab = createLab();
    const { endpoint, client, log } = await serve((ctx) => {
      const server = lab.factory(ctx);
      if (lab.made.length === 1) server.close = () => Promise.reject(new Error('no way'));
      return server;
    });
    const [one, other] = [client(), client()];
    await one.initialize();
    await other.initialize();
    await endpoint.close();
    expect(lab.made[1]?.closed).toBe(true);
    expect(log.matching(/could not be closed/, 'warn').map(({ fields }) => fields['sessionId'])).toEqual([
      hashOf(one.sessionId),
    ]);
  });

  test('catches a session that was still being opened', async () => {
    const lab = createLab();
    let make!: () => void;
    const made = new Promise<void>((resolve) => (make = resolve));
    let asked = false;
    const { endpoint, client } = await serve(async (ctx) => {
      asked = true;
      await made;
      return lab.factory(ctx);
    });
    const opening = client().initialize();
    await until(() => asked);
    const closing = endpoint.close();
    make();
    const { response, message } = await opening;
    await closing;
    expect(response.status).toBe(503);
    expect(message.error).toMatchObject({ code: -32000, data: { reason: 'closed' } });
    await until(() => lab.made[0]?.closed === true, { what: 'the server that came too late is closed' });
    expect(endpoint.sessions.count).toBe(0);
  });
});

test('B67 a request that reaches a session while it is disposed of fails, and revives nothing', async () => {
  const run = slowRun();
  const { one, endpoint, lab } = await inLab({ runSessionHandler: run.handler });
  const deleting = one.delete();
  await until(() => run.reasons.length === 1);
  const late = [one.call('ping'), one.get(), one.delete()] as const;
  await new Promise((turn) => setImmediate(turn));
  run.finish();
  expect((await deleting).status).toBe(200);
  const [ping, get, again] = await Promise.all(late);
  expect([ping.response.status, get.status, again.status]).toEqual([404, 404, 404]);
  expect(ping.message.error?.code).toBe(-32001);
  expect(lab.made.length).toBe(1);
  expect(endpoint.sessions.count).toBe(0);
});

test('B70 the order of an end: errors of running requests, GETs, signal, run(), server.close(), the answer to DELETE', async () => {
  const order: string[] = [];
  const lab = createLab();
  const endpoint = createMcpEndpoint(
    (ctx) => {
      const server = lab.factory(ctx);
      const close = server.close.bind(server);
      server.close = () => {
        order.push('server.close()');
        return close();
      };
      ctx.session?.signal.addEventListener('abort', () => order.push('signal'));
      return server;
    },
    {
      logger: createLog(),
      runSessionHandler: async (_request, _session, run) => {
        order.push(`run() ${await run()}`);
      },
    },
  );
  const server = createServer((req, res) => {
    const end = res.end.bind(res);
    res.end = ((...args: []) => {
      if (req.method !== 'POST' || order.includes('watched')) order.push(`${req.method} ends`);
      return end(...args);
    }) as typeof res.end;
    endpoint.node(req, res);
  });
  const client = await clientBehind(server, endpoint, { path: '/' });
  await client.initialize();
  await client.get();
  const called = client.call(...tool('hold'));
  await lab.held();
  order.push('watched');
  expect((await client.delete()).status).toBe(200);
  expect(order).toEqual([
    'watched',
    'POST ends',
    'GET ends',
    'signal',
    'run() deleted',
    'server.close()',
    'DELETE ends',
  ]);
  expect((await called).message.error).toMatchObject({ code: -32000, data: { reason: 'session_ended' } });
});

test('a session that ends while it is being opened fails its initialize, and leaves nothing behind', async () => {
  const lab = createLab();
  const { client, endpoint } = await serve(lab.factory, {
    runSessionHandler: async (_request, _session, run) => {
      void run(); // and is back at once
    },
  });
  const { response, message } = await client().initialize();
  expect([response.status, message.error?.code]).toEqual([500, -32603]);
  expect(response.header('mcp-session-id')).toBeUndefined();
  expect(lab.made.map(({ closed }) => closed)).toEqual([true]);
  expect((await endpoint.sessions.list()).sessions).toEqual([]);
});
