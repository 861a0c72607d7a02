/**
 * Floods of notifications: of every kind, on a session and without one, in every era. They write a few lines, make no
 * more handlers run than the limits allow, and others are served throughout. `let in` counts calls of others that
 * failed, and handlers past the limits.
 */
import { McpServer } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import type { McpEndpointContext, McpEndpointOptions } from '../../src/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { envelope, MODERN } from '../kit/modern.ts';
import { isMatrix } from '../kit/matrix.ts';
import { faces, serve, userHeader, type Face } from '../kit/serve.ts';
import { until } from '../kit/until.ts';
import { BUDGET, hasWholeBudget } from './aborts.ts';

const FLOOD = isMatrix ? 100 : 60;
const PARALLEL = 20;
/** Lines with the same text that the log takes in a second, with the line that counts the rest. */
const LINES = 21;
const LIMIT = 4;
const NOTE = 'vendor/note';

type Params = Record<string, unknown>;

const KINDS: Readonly<Record<string, (n: number) => readonly [method: string, params?: Params]>> = {
  'cancelled, of no request': (n) => ['notifications/cancelled', { requestId: n, reason: 'x'.repeat(1_000) }],
  'cancelled, without an id': () => ['notifications/cancelled', {}],
  'cancelled, of an object': () => ['notifications/cancelled', { requestId: { id: 1 } }],
  'progress of no request': (n) => ['notifications/progress', { progressToken: `s1.${n}`, progress: n }],
  'progress without a token': () => ['notifications/progress', { progress: 'much' }],
  initialized: () => ['notifications/initialized'],
  'roots/list_changed': () => ['notifications/roots/list_changed', { _meta: { padding: 'x'.repeat(1_000) } }],
  'an unknown one': (n) => [`notifications/unknown-${n}`, { n }],
  'a name of 10 KB': (n) => [`${n}${'x'.repeat(10_000)}`],
  'one of the server': () => ['notifications/tools/list_changed'],
  'the method of a request': () => ['tools/call', { name: 'echo', arguments: {} }],
};

const stateless: McpEndpointOptions = { sessionMode: 'stateless' };

interface Mode {
  readonly options?: McpEndpointOptions;
  readonly era: 'session' | 'none' | 'modern';
}

const MODES: Readonly<Record<string, Mode>> = {
  'on a session': { era: 'session' },
  'without a session': { era: 'none' },
  '2026-07-28': { era: 'modern' },
  stateless: { era: 'none', options: stateless },
};

/** `handle`: called for each `vendor/note`. */
async function start({ options, era }: Mode, face: Face, handle: () => unknown = () => {}, limits = {}) {
  const made = { servers: 0, closed: 0 };
  const factory = (ctx: McpEndpointContext): McpServer => {
    const mcp = new McpServer({ name: 'flooded', version: '1' }, { ...ctx.serverOptions });
    made.servers += 1;
    mcp.server.onclose = () => (made.closed += 1);
    mcp.registerTool('echo', {}, () => ({ content: [] }));
    mcp.server.fallbackNotificationHandler = async ({ method }) => void (method === NOTE && (await handle()));
    return mcp;
  };
  const all = { memoryBytes: BUDGET, userShare: 1, ...limits };
  const served = await serve(factory, { ...options, limits: all }, { face, auth: userHeader });
  const open = async (user: string): Promise<RawClient> => {
    const client = served.client({ headers: { 'x-user': user } });
    if (era === 'session') await client.initialize();
    else client.protocolVersion = '2025-11-25';
    return client;
  };
  const notify = (client: RawClient, method: string, params: Params = {}): Promise<RawResponse> => {
    if (era !== 'modern') return client.notify(method, params);
    const headers = { 'mcp-protocol-version': MODERN, 'mcp-method': method.slice(0, 1_000) };
    return client.notify(method, { ...params, _meta: { ...envelope(), ...(params['_meta'] as Params) } }, { headers });
  };
  /** A call of another user, which must be served. Why it was not; none: it was. */
  const others = async (client: RawClient): Promise<string[]> => {
    const headers = { 'mcp-protocol-version': MODERN, 'mcp-method': 'tools/list' };
    const { response, message } =
      era === 'modern'
        ? await client.call('tools/list', { _meta: envelope() }, { headers })
        : await client.call('ping');
    // A call that needs a session gets an answer too.
    const expected = era === 'none' && options === undefined ? 400 : 200;
    const isServed = response.status === expected && (expected === 400 || message.error === undefined);
    return isServed ? [] : [`${response.status} ${JSON.stringify(message)}`];
  };
  return { ...served, made, open, notify, others };
}

describe.each(faces)('%s', (face) => {
  test.each(Object.entries(MODES))('every kind, %s', { timeout: 120_000 }, async (_mode, mode) => {
    const { open, notify, others, log, port, made } = await start(mode, face);
    const [eve, bob] = [await open('eve'), await open('bob')];
    const opened = made.servers - made.closed;
    for (const [kind, params] of Object.entries(KINDS)) {
      log.lines.length = 0;
      const began = performance.now();
      let sent = 0;
      const failed: string[] = [];
      const flood = Array.from({ length: PARALLEL }, async () => {
        while (sent < FLOOD) {
          const { status } = await notify(eve, ...params(sent++));
          expect(status, kind).toBeLessThan(500);
        }
      });
      const witness = async (): Promise<void> => {
        while (sent < FLOOD) failed.push(...(await others(bob)));
      };
      await Promise.all([...flood, witness()]);
      expect([kind, failed, await others(eve)]).toEqual([kind, [], []]);
      const seconds = Math.ceil((performance.now() - began) / 1_000) + 1;
      // A machine under load takes longer, and the log more lines.
      const lines = log.lines.filter(({ level }) => level !== 'debug').length;
      expect(lines, kind).toBeLessThanOrEqual(LINES * seconds);
      await until(() => hasWholeBudget(port, { 'x-user': 'bob' }));
      // Sessions keep theirs; each other server is closed.
      await until(() => made.servers - made.closed === opened);
    }
    expect(opened).toBe(mode.era === 'session' ? 2 : 0);
  });

  test.each(['on a session', '2026-07-28', 'stateless'])('handlers that run are bounded, %s', async (name) => {
    const mode = MODES[name] as Mode;
    const held = { now: 0, most: 0, release: () => {} };
    const released = new Promise<void>((resolve) => (held.release = resolve));
    const handle = async (): Promise<void> => {
      held.now += 1;
      held.most = Math.max(held.most, held.now);
      await released;
      held.now -= 1;
    };
    const limits = { requestsPerSession: LIMIT, requests: LIMIT };
    const { open, notify, others, port } = await start(mode, face, handle, limits);
    const [eve, bob] = [await open('eve'), await open('bob')];
    const answers = Array.from({ length: FLOOD }, (_, n) => notify(eve, NOTE, { n }).then(({ status }) => status));
    await until(() => held.now === LIMIT);
    // Without a session all places are taken.
    if (mode.era === 'session') expect(await others(bob)).toEqual([]);
    held.release();
    const statuses = await Promise.all(answers);
    expect(held.most).toBe(LIMIT);
    expect(statuses.every((status) => [202, 429, 503].includes(status))).toBe(true);
    await until(() => held.now === 0);
    expect(await others(bob)).toEqual([]);
    await until(() => hasWholeBudget(port, { 'x-user': 'bob' }));
  });
});
