/** DELETE: the client ends its session. (B53 is with the refusals of GET.) */
import { describe, expect, test } from 'vitest';
import type { LeaveReason } from '../../src/index.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { createEchoServer } from '../kit/echo-server.ts';
import { heldTool, toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { perFace } from '../kit/sessions.ts';
import { toolCall } from '../kit/lab.ts';

const VERSIONS = [['2025-03-26'], ['2025-06-18'], ['2025-11-25']];

const NOT_FOUND = { jsonrpc: '2.0', id: null, error: { code: -32001, message: 'Session not found' } };

function expectEnded(response: RawResponse, id: number): void {
  const error = { code: -32000, message: expect.any(String), data: { reason: 'session_ended', mayHaveRun: true } };
  const messages = response.messages;
  expect(messages).toEqual([{ jsonrpc: '2.0', id, error }]);
  expect(response.ending).toBe('complete');
}

describe.each(perFace)('$face', ({ serve, session }) => {
  test('B47 DELETE ends the session: 200, and from then on 404', async () => {
    const { one } = await session(createEchoServer);
    const response = await one.delete();
    expect(response.status).toBe(200);
    expect(response.body).toBe('');
    const { response: post, message } = await one.call('ping');
    expect(post.status).toBe(404);
    expect(message).toEqual(NOT_FOUND);
    for (const later of [await one.get(), await one.delete()]) {
      expect(later.status).toBe(404);
      expect(later.json()).toEqual(NOT_FOUND);
    }
  });

  test.each(VERSIONS)('B48 DELETE ends the GET stream cleanly, without another byte (%s)', async (protocolVersion) => {
    const { one } = await session(createEchoServer, {}, { protocolVersion });
    const get = await one.get();
    if (protocolVersion === '2025-11-25') await get.next();
    const before = get.body;
    await one.delete();
    await get.untilEnd();
    expect(get.ending).toBe('complete');
    expect(get.body).toBe(before);
  });

  test.each(VERSIONS)(
    'B49 DELETE aborts what runs: each request gets its error, then its stream ends (%s)',
    async (version) => {
      const held = heldTool();
      const { one } = await session(toolServer({ hold: held.tool }), {}, { protocolVersion: version });
      const running = [await one.post(toolCall(11, 'hold')), await one.post(toolCall(12, 'hold'))];
      await until(() => held.calls.length === 2);
      expect((await one.delete()).status).toBe(200);
      expect(held.calls.map(({ mcpReq }) => mcpReq.signal.aborted)).toEqual([true, true]);
      await Promise.all(running.map((response) => response.untilEnd()));
      running.forEach((response, n) => expectEnded(response, 11 + n));
    },
  );

  test("B49 so it is with responseMode 'json'", async () => {
    const held = heldTool();
    const { one } = await session(toolServer({ hold: held.tool }), { responseMode: 'json' });
    const running = one.post(toolCall(11, 'hold'));
    await until(() => held.calls.length === 1);
    expect((await one.delete()).status).toBe(200);
    expect((await running).json()).toMatchObject({
      id: 11,
      error: { code: -32000, data: { reason: 'session_ended' } },
    });
  });

  test('B49 every request of a batch gets its error', async () => {
    const held = heldTool();
    const { one } = await session(toolServer({ hold: held.tool }), {}, { protocolVersion: '2025-03-26' });
    const running = await one.post([toolCall(1, 'hold'), toolCall(2, 'hold'), toolCall(3, 'hold')]);
    await until(() => held.calls.length === 3);
    await one.delete();
    await running.untilEnd();
    const error = { code: -32000, message: expect.any(String), data: { reason: 'session_ended', mayHaveRun: true } };
    expect(running.events.map(({ message }) => message)).toEqual(
      [1, 2, 3].map((id) => ({ jsonrpc: '2.0', id, error })),
    );
    expect(running.ending).toBe('complete');
  });

  test('B50 DELETE without a session id is 400, with an unknown one 404; no migration handler is asked', async () => {
    const asked: string[] = [];
    const allowSessionMigration = (_request: Request, id: string): undefined => void asked.push(id);
    const options = { sessionMigrationHandler: { allowSessionMigration } };
    const client = (await serve(createEchoServer, options)).client();
    const missing = await client.delete();
    expect(missing.status).toBe(400);
    expect(missing.json()).toMatchObject({
      id: null,
      error: { code: -32000, message: expect.stringContaining('DELETE needs the Mcp-Session-Id header') },
    });
    const unknown = await client.delete({ sessionId: 'some-other-session' });
    expect(unknown.status).toBe(404);
    expect(unknown.json()).toEqual(NOT_FOUND);
    expect(asked).toEqual([]);
    await client.get({ sessionId: 'some-other-session' });
    expect(asked).toEqual(['some-other-session']); // it is there, and others do ask it
  });

  test.each([['the run handler'], ['the server']])(
    'B52 DELETE is answered when the run handler has come back and the server is closed, %s last',
    async (last) => {
      const steps: string[] = [];
      const handler = gate();
      const closing = gate();
      const factory = toolServer({}, (server) => {
        const close = server.close.bind(server);
        server.close = async () => {
          steps.push('closing');
          await closing.passed;
          await close();
          steps.push('closed');
        };
      });
      const runSessionHandler = async (_request: unknown, _session: unknown, run: () => Promise<LeaveReason>) => {
        steps.push(`run: ${await run()}`);
        await handler.passed;
        steps.push('handler is back');
      };
      const { client } = await serve(factory, { runSessionHandler });
      const [raw, other] = [client(), client()];
      await raw.initialize();
      await other.initialize();
      const deleted = raw.delete().then(({ status }) => steps.push(`answered ${status}`));
      await until(() => steps.length === 2);
      expect(steps).toEqual(['run: deleted', 'closing']);
      const [first, second] = last === 'the server' ? [handler, closing] : [closing, handler];
      first.open();
      await until(() => steps.length === 3);
      await other.call('ping'); // time enough for an answer to arrive
      expect(steps).toHaveLength(3);
      second.open();
      await deleted;
      expect(steps.slice(2, 4).sort()).toEqual(['closed', 'handler is back']);
      expect(steps[4]).toBe('answered 200');
      await other.delete();
    },
  );

  test('B52 two DELETEs at once are both answered, and the session ends once', async () => {
    const ended: string[] = [];
    const onSessionEnded = (id: string, reason: string): void => void ended.push(`${id} ${reason}`);
    const options = { sessionMigrationHandler: { allowSessionMigration: () => null, onSessionEnded } };
    const { one } = await session(createEchoServer, options);
    const statuses = (await Promise.all([one.delete(), one.delete(), one.delete()])).map(({ status }) => status).sort();
    expect(statuses[0]).toBe(200);
    for (const status of statuses) expect([200, 404]).toContain(status);
    expect(ended).toEqual([`${one.sessionId} deleted`]);
  });
});

function gate(): { readonly passed: Promise<void>; open(): void } {
  let open!: () => void;
  const passed = new Promise<void>((resolve) => (open = resolve));
  return { passed, open };
}
