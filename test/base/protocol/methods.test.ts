/** `methods.ts` decides: a new row is all that a new method needs, and a method without a row is safe. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Server } from '@modelcontextprotocol/server';
import { afterEach, describe, expect, test } from 'vitest';
import { type Inbound, postOf } from '../../../src/session/inbound/inbound.ts';
import { errorAfter } from '../../../src/session/inbound/retries.ts';
import { leaseLost, type SojournError } from '../../../src/base/errors.ts';
import { addMethod, methods } from '../../../src/base/protocol/methods.ts';
import { systemTime } from '../../../src/base/system.ts';
import { Markers } from '../../../src/session/calls/markers.ts';
import type { SessionHost } from '../../../src/session/record/session-host.ts';
import { bearer } from '../../kit/issuer.ts';
import { callModern } from '../../kit/modern.ts';
import type { RawHeaders } from '../../kit/raw-client.ts';
import { readScrape } from '../../kit/prometheus.ts';
import { serve } from '../../kit/serve.ts';
import { useSharedStores } from '../../kit/shared-stores.ts';
import { until } from '../../kit/until.ts';

useSharedStores();

const METHOD = 'acme/run';
afterEach(() => void (methods as Map<string, unknown>).delete(METHOD));

const addRow = (): void =>
  addMethod(METHOD, 'request', {
    from: 'client',
    names: { kind: 'prompt', member: 'name' },
    mirrored: 'name',
    repeats: 'always',
  });

/** A server that answers every method. */
async function serveAll(allows: boolean) {
  const asked: string[] = [];
  const ran: string[] = [];
  const verify = async (token: string) => ({
    token,
    clientId: 'c',
    scopes: [],
    extra: { sub: 'ada' },
    expiresAt: Math.floor(Date.now() / 1_000) + 600,
  });
  const authorize = (kind: string, name: string): boolean => {
    asked.push(`${kind} ${name}`);
    return allows;
  };
  const served = await serve(
    (ctx) => {
      const server = new Server(
        { name: 'x', version: '1' },
        { ...ctx.serverOptions, capabilities: {} },
      );
      server.fallbackRequestHandler = async ({ method }) => {
        ran.push(method);
        return {};
      };
      return server;
    },
    { metrics: true, auth: { verify, authorize } },
  );
  const session = await served.openSession({}, bearer('x'));
  const modern = served.client(bearer('x'));
  const params = { name: 'a' };
  return {
    asked,
    ran,
    metrics: () => readScrape(served.endpoint.metrics()),
    inSession: async (method = METHOD) => (await session.call(method, params)).message,
    alone: async (headers: RawHeaders) =>
      (await callModern(modern, METHOD, params, { headers })).response.status,
  };
}

/** What it ends with when the instance that may have run it has crashed, and whether a marker says that it may have. */
function retried(): readonly [code: unknown, repeatable: boolean] {
  const message = { jsonrpc: '2.0', id: 1, method: METHOD, params: { name: 'a' } } as const;
  const post = postOf([{ kind: 'request', message }], false, '');
  const inbound = {
    kind: 'post',
    requestId: 1,
    mayHaveRun: 1,
    sink: { hasBegun: false },
    post,
  } as unknown as Inbound;
  const markers = new Markers(
    { options: { timeProvider: systemTime } } as unknown as SessionHost,
    {} as never,
  );
  return [(errorAfter(inbound, leaseLost()) as SojournError).code, markers.repeatable(message)];
}

const OPERATIONS = 'mcp_server_operation_duration_seconds_count';
const label = (name: string) => ({ mcp_method_name: name });

test('a new row is read by authorize, retries, headers and metrics', async () => {
  addRow();
  const { asked, ran, metrics, inSession, alone } = await serveAll(true);
  await inSession();
  expect(asked).toEqual(['prompt a']);
  expect(await alone({})).toBe(400);
  expect(await alone({ 'mcp-name': 'a' })).toBe(200);
  expect(ran).toEqual([METHOD, METHOD]);
  expect(retried()).toEqual(['LEASE_LOST', true]);
  await until(() => metrics().sum(OPERATIONS, label(METHOD)) === 3, { what: 'three operations' });
  const refusing = await serveAll(false);
  expect((await refusing.inSession()).error?.message).toBe('Prompt a not found');
});

describe('a method without a row', () => {
  test('must not run twice, mirrors no header and is no label', async () => {
    const { asked, ran, metrics, inSession, alone } = await serveAll(true);
    await inSession();
    expect(await alone({})).toBe(200);
    expect(asked).toEqual([`method ${METHOD}`, `method ${METHOD}`]);
    expect(ran).toEqual([METHOD, METHOD]);
    expect(retried()).toEqual(['OWNER_LOST', false]);
    await until(() => metrics().sum(OPERATIONS, label('_OTHER')) === 2, { what: 'two operations' });
    expect(metrics().sum(OPERATIONS, label(METHOD))).toBe(0);
  });

  test.each([
    METHOD,
    'sampling/createMessage',
    'notifications/progress',
    'constructor',
    '__proto__',
  ])('is refused by authorize as one that the server lacks: %s', async (method) => {
    const { asked, ran, inSession, alone } = await serveAll(false);
    expect((await inSession(method)).error).toEqual({ code: -32_601, message: 'Method not found' });
    expect(await alone({})).toBe(404);
    expect([asked[0], ran]).toEqual([`method ${method}`, []]);
  });
});

test('no other file compares a method with a name, or has a table of names', () => {
  const src = resolve(import.meta.dirname, '../../../src');
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.ts'),
  );
  const names = [...methods.keys()].filter((name) => name !== 'ping').join('|');
  const decides = new RegExp(
    `(?:[!=]==|case|\\[) *'(?:${names})'|'(?:${names})'(?: *[!=]==|\\]?:)`,
  );
  const deciding = files.filter((file) => decides.test(readFileSync(join(src, file), 'utf8')));
  expect(deciding.filter((file) => !file.endsWith('base/protocol/methods.ts'))).toEqual([]);
  expect(decides.test("if (method !== 'tools/call')")).toBe(true);
});
