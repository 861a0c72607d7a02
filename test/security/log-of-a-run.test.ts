/**
 * What two processes log in a run with everything that happens to a deployment: hostile clients, a relayed call, a
 * killed process, a takeover, a store that is away and back, a drain. At the level `debug`, with a line per request, as
 * JSON and as text: no line holds a token, an argument, a result, the message of a thrown error, a session id, or the
 * password of the store, and no client's text begins a line. Endpoints without sessions, and those behind the fetch
 * face, log the same in this process.
 */
import { inspect } from 'node:util';
import { fileURLToPath } from 'node:url';
import { CLIENT_INFO_META_KEY } from '@modelcontextprotocol/server';
import { expect, onTestFinished, test } from 'vitest';
import { redis as redisStore } from '../../packages/redis/src/index.ts';
import { openClient } from '../kit/listening.ts';
import { inMatrix } from '../kit/matrix.ts';
import { envelope, mirrored } from '../kit/modern.ts';
import type { RawClient, RawClientOptions, RawHeaders } from '../kit/raw-client.ts';
import { startCli } from '../cli/cli-process.ts';
import { serve } from '../kit/serve.ts';
import { startServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import keeper, {
  ARGUMENT,
  CONTROL,
  KINDS,
  QUERY,
  RESULT,
  THROWN,
  TOKEN,
} from './processes/keeper.mjs';

const server = fileURLToPath(new URL('processes/keeper.mjs', import.meta.url));
const PASSWORD = 'canary-password-8d21';
const HEADERS = { authorization: `Bearer ${TOKEN}` };
const ACCOUNT = ['--user', 'canary', 'on', `>${PASSWORD}`, '~*', '&*', '+@all'];
const SLOW = { timeoutMs: 60_000 };

const open = (url: string, options: RawClientOptions = {}): RawClient =>
  openClient(url, { headers: HEADERS, ...options });

/** The same session at another process. */
function joined(url: string, of: RawClient): RawClient {
  return open(url, { ...SLOW, of });
}

const META = envelope({}, { [CLIENT_INFO_META_KEY]: { name: `c${CONTROL}`, version: CONTROL } });
const printable = (text: string): string => text.replace(/[^\x20-\x7e]/g, '');

const rpc = (method: string, params: object, id: number | string = 1) => ({
  jsonrpc: '2.0',
  id,
  method,
  params,
});

/** What every client sends, by method and parameters. */
const messages = (): Array<[method: string, params: Record<string, unknown>]> => [
  ...KINDS.map((kind): [string, Record<string, unknown>] => [
    'tools/call',
    { name: 'keep', arguments: { secret: ARGUMENT, kind } },
  ]),
  ['tools/call', { name: 'keep', arguments: { secret: [ARGUMENT], kind: ARGUMENT } }],
  ['tools/call', { name: `none${CONTROL}`, arguments: { [ARGUMENT]: ARGUMENT } }],
  ['prompts/get', { name: 'ask', arguments: { secret: ARGUMENT } }],
  ['resources/read', { uri: `file:///${QUERY}` }],
  [`method${CONTROL}`, { a: ARGUMENT }],
];

/** A hostile client: it sends texts that no log may have, and control characters. Resolves with the ids that it used. */
async function attackAll(url: string, era: 'legacy' | 'modern'): Promise<readonly string[]> {
  const attack = async (of: RawClient, body: unknown, headers: RawHeaders = {}): Promise<void> => {
    (await of.post(body, { headers })).abort();
  };
  const client = open(url, { headers: { ...HEADERS, cookie: TOKEN, 'x-user': 'alice' } });
  const ids: string[] = [];
  if (era === 'legacy') {
    await client.initialize({
      clientInfo: { name: `c${CONTROL}`, version: CONTROL },
      initialized: false,
    });
    if (client.sessionId !== undefined) ids.push(client.sessionId);
  }
  for (const [method, params] of messages()) {
    if (era === 'legacy') {
      await attack(client, rpc(method, params));
      continue;
    }
    const name = printable(String(params['name'] ?? params['uri'] ?? ''));
    const headers = { ...mirrored(printable(method)), ...(name !== '' && { 'mcp-name': name }) };
    await attack(client, rpc(method, { ...params, _meta: META }), {
      ...headers,
      'mcp-session-id': null,
    });
  }
  const good = rpc('ping', {});
  await attack(client, good, { 'mcp-session-id': `canary-unknown-session` });
  ids.push('canary-unknown-session');
  await attack(client, good, { origin: `https://evil.example` });
  await attack(client, good, { authorization: `Basic ${TOKEN}` });
  await attack(client, good, { authorization: `Bearer refused-${TOKEN}` });
  await attack(client, good, {
    'mcp-protocol-version': '2026-07-28',
    'mcp-method': 'other',
    'mcp-param-secret': ARGUMENT,
  });
  await attack(client, { ...good, jsonrpc: ARGUMENT, [`member${CONTROL}`]: ARGUMENT });
  await attack(client, `{"${ARGUMENT}`);
  await (await fetch(`${url}/../other?token=${QUERY}`)).text();
  if (client.sessionId !== undefined)
    (await client.delete({ sessionId: client.sessionId })).abort();
  return ids;
}

test.each([
  ['the fetch face', 'fetch', {}],
  [
    'the fetch face, whose store is away',
    'fetch',
    { store: redisStore(`redis://canary:${PASSWORD}@127.0.0.1:1`) },
  ],
  ['the fetch face without sessions', 'fetch', { sessionMode: 'stateless' }],
  ['the node face without sessions', 'node', { sessionMode: 'stateless' }],
] as const)('the lines of an endpoint behind %s', async (_where, face, more) => {
  const options = { ...keeper.options, maxWaitMs: 0, accessLog: true, ...more };
  const { url, log } = await serve(keeper.factory, options, { face });
  const ids = [...(await attackAll(url, 'legacy')), ...(await attackAll(url, 'modern'))];
  await until(() => log.matching(/^request$/).length > 2 * messages().length);
  const said = log.lines.map(({ message }) => message);
  expect(said).toContain('A tool threw');
  if ('store' in more)
    expect(said).toContainEqual(expect.stringMatching(/^The session store could not be opened/));
  const secrets = [TOKEN, ARGUMENT, RESULT, THROWN, QUERY, PASSWORD, ...ids];
  const lines = log.lines.map((line) => inspect(line, { depth: 12, showHidden: true }));
  expect(lines.filter((line) => secrets.some((secret) => line.includes(secret)))).toEqual([]);
});

const call = (name: string, args: object = {}) =>
  ['tools/call', { name, arguments: args }] as const;

test.each(inMatrix(['json', 'text'], ['text']))(
  'a whole run in the format %s',
  { timeout: 120_000 },
  async (format) => {
    const redis = await startServer('redis', { args: [...ACCOUNT, '--appendonly', 'yes'] });
    onTestFinished(() => redis.close());
    const store = redis.url.replace('redis://', `redis://canary:${PASSWORD}@`);
    const flags = [
      '--port',
      '0',
      '--store',
      store,
      '--log-level',
      'debug',
      '--access-log',
      '--log-format',
      format,
    ];
    const start = () =>
      startCli(['serve', server, ...flags], { env: { SOJOURN_HIBERNATE_AFTER_MS: '500' } });
    const [a, b] = [start(), start()];
    const [atA, atB] = await Promise.all([a.url(), b.url()]);
    const ids: string[] = [];

    for (const url of [atA, atB]) {
      for (const era of ['legacy', 'modern'] as const) ids.push(...(await attackAll(url, era)));
    }
    // A call is relayed, and another one runs when its process is killed.
    const here = open(atA, SLOW);
    await here.initialize();
    ids.push(String(here.sessionId));
    const there = joined(atB, here);
    await there.call(...call('keep', { secret: ARGUMENT, kind: 'throw' }));
    const lost = joined(atB, here).call(...call('stay', { secret: ARGUMENT }));
    await new Promise((done) => setImmediate(done));
    await until(() => a.output.stdout.includes('a call stays'), { what: 'the call at its owner' });
    a.kill('SIGKILL');
    await a.ended();
    expect((await there.call(...call('wait'))).response.status).toBe(200);
    await lost;
    await until(() => b.output.stderr.includes('A session continues here'), {
      what: 'the takeover',
    });
    await until(() => b.output.stderr.includes('hibernated'), {
      timeoutMs: 20_000,
      what: 'a hibernated session',
    });
    // The store is away, and back.
    await redis.stop();
    await until(() => b.output.stderr.includes('The session store cannot be reached'), {
      timeoutMs: 20_000,
    });
    const waits = there.call(...call('wait'));
    await redis.start();
    expect((await waits).response.status).toBe(200);
    await until(() => b.output.stderr.includes('The session store is back'), {
      timeoutMs: 20_000,
      what: 'the store',
    });
    b.kill('SIGTERM');
    expect((await b.ended()).code).toBe(0);

    const all = a.output.stderr + b.output.stderr;
    for (const text of [
      'joined the deployment',
      'its lease is removed',
      'cannot be reached',
      'is back',
      'has drained',
    ])
      expect(all).toContain(text);
    const secrets = [TOKEN, ARGUMENT, RESULT, THROWN, QUERY, PASSWORD, ...ids];
    const lines = all.split('\n').filter(Boolean);
    expect(lines.filter((line) => secrets.some((secret) => line.includes(secret)))).toEqual([]);
    // oxlint-disable-next-line no-control-regex
    expect(lines.filter((line) => /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(line))).toEqual(
      [],
    );
    // Every line is one of ours: JSON with a level, or a time, or a line of a cause.
    const begins =
      format === 'json' ? /^\{"level":\d\d,"time":/ : /^(?:\d{4}-\d\d-\d\dT[\d:.]+Z |  )/;
    expect(lines.filter((line) => !begins.test(line))).toEqual([]);
    if (format === 'json')
      for (const line of lines) expect(() => JSON.parse(line) as unknown).not.toThrow();
  },
);
