/** What one client sends to a process with a small heap. Shapes that a search found are in `shapes.test.ts`. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, onTestFinished } from 'vitest';
import { toolCall } from '../kit/lab.ts';
import { envelope, mirrored } from '../kit/modern.ts';
import { until } from '../kit/until.ts';
import { modernBytes, rawRequest } from './aborts.ts';
import type { Answer, Caller } from './processes/caller.ts';
import { callerOf, deafConnection, times } from './small-heap.ts';

const MIB = 1024 * 1024;
const USER = { 'x-user': 'attacker' };

export interface Attack {
  /** The stores that have a part in it. */
  readonly stores: ReadonlyArray<'memory' | 'sqlite'>;
  run(port: number): Promise<unknown>;
}

const onMemory = (run: Attack['run']): Attack => ({ stores: ['memory'], run });
const onBoth = (run: Attack['run']): Attack => ({ stores: ['memory', 'sqlite'], run });

const attacker = (port: number, sockets = 1): Caller => callerOf(port, 'attacker', sockets);

const postOf = (message: object, headers: Record<string, string> = {}): string =>
  rawRequest('POST', { ...USER, ...headers }, message);

// ——— handshakes and what sessions keep ———

/** `keys` empty objects, with names that begin with this text. */
const capabilities = (first: string, keys: number, padding = ''): object => ({
  experimental: Object.fromEntries(Array.from({ length: keys }, (_, key) => [`${first}${key}${padding}`, {}])),
});

async function tooManyKeys(port: number): Promise<void> {
  const caller = attacker(port, 4);
  const answers = await times(50, 4, (n) => caller.initialize(capabilities(n.toString(36), 1_500)));
  expect(answers.every(({ status }) => status === 413)).toBe(true);
  expect(answers[0]?.text).toMatch(/may have 512 keys and objects/);
}

async function largestHandshakes(port: number): Promise<void> {
  const caller = attacker(port, 8);
  const answers = await times(1_500, 8, (n) =>
    caller.initialize(capabilities(`${n.toString(36)}-`, 245, `-${'x'.repeat(40)}`)),
  );
  expect(answers.filter(({ status }) => status !== 200 && status !== 503)).toEqual([]);
  expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThan(100);
}

async function largeState(port: number): Promise<void> {
  const outcomes = await times(700, 8, async () => {
    const one = attacker(port);
    const { sessionId, status } = await one.initialize();
    if (sessionId === undefined) return status;
    one.sessionId = sessionId;
    const { text } = await one.rpc('tools/call', { name: 'keep', arguments: { value: 'x'.repeat(250_000) } });
    return text.includes('limits.memoryBytes') ? 'refused' : text.includes('kept') ? 'kept' : text.slice(0, 300);
  });
  const seen = new Set(outcomes);
  expect([...seen].filter((one) => one !== 'kept' && one !== 'refused' && one !== 503)).toEqual([]);
  expect(seen).toContain('kept');
}

// ——— clients that do not read, or send slowly ———

async function deafCalls(port: number): Promise<void> {
  const caller = attacker(port, 4);
  for (let n = 0; n < 120; n++) {
    if (n % 20 === 0) await caller.open().catch(() => {});
    const message = toolCall(n + 1_000, 'big', { bytes: 8 * MIB });
    await deafConnection(port, postOf(message, { 'mcp-session-id': caller.sessionId ?? '' }));
  }
}

/** A caller, and the first event of a stream of 7.5 MB. */
async function longStream(port: number, sockets: number, user = 'attacker') {
  const caller = callerOf(port, user, sockets);
  await caller.open();
  const args = { events: 30, bytes: 250_000 };
  const { text } = await caller.rpc(
    'tools/call',
    { name: 'long', arguments: args },
    { 'mcp-protocol-version': '2025-11-25' },
  );
  expect(text).toContain('the end');
  const [, lastEventId] = /^id: (\S+)$/m.exec(text) ?? [];
  if (lastEventId === undefined) throw new Error(text.slice(0, 200));
  return { caller, lastEventId };
}

/** A reader that is too slow for the memory left is cut, and resumes again, as clients do. */
async function resumed(caller: Caller, lastEventId: string): Promise<Answer> {
  for (let tries = 1; ; tries++) {
    const answer = await caller.resume(lastEventId);
    if (answer.status !== 0 || tries === 10) return answer;
  }
}

async function resumes(port: number): Promise<void> {
  const { caller, lastEventId } = await longStream(port, 60);
  const answers = await times(60, 60, () => resumed(caller, lastEventId));
  const found = answers.map(({ status, text }) => [status, /^retry: \d+$/m.test(text), text.includes('the end')]);
  expect(found).toEqual(answers.map(() => [200, true, true]));
}

async function deafResumes(port: number): Promise<void> {
  const late = await longStream(port, 1, 'late');
  const { caller, lastEventId } = await longStream(port, 4);
  const session = { 'mcp-session-id': caller.sessionId ?? '', 'mcp-protocol-version': '2025-11-25' };
  // Thirty reach the server in one turn.
  const requests = rawRequest('GET', { ...USER, ...session, 'last-event-id': lastEventId }).repeat(30);
  await times(10, 10, () => deafConnection(port, requests));
  const { status, text } = await late.caller.resume(late.lastEventId);
  expect([status, text.includes('the end')]).toEqual([200, true]);
}

async function halfBodies(port: number): Promise<void> {
  const session = { 'mcp-session-id': await attacker(port).open() };
  const params = { x: 'y'.repeat(4 * MIB - 200) };
  const bytes = postOf({ jsonrpc: '2.0', id: 1, method: 'ping', params }, session).slice(0, -10);
  await times(60, 20, () => deafConnection(port, bytes).catch(() => undefined));
}

/** A body in chunks of one byte takes hundreds of times its length as objects. 11 MB are on the wire. */
async function smallChunks(port: number): Promise<void> {
  const sessionId = await attacker(port).open();
  const socket = connect(port, '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  let answer = '';
  socket.setEncoding('utf8').on('data', (text: string) => (answer += text));
  socket.on('error', (error) => (answer += String(error)));
  const params = { _meta: { padding: 'x'.repeat(1_800_000) } };
  const [head = '', body = ''] = postOf(
    { jsonrpc: '2.0', id: 77, method: 'ping', params },
    { 'mcp-session-id': sessionId },
  ).split('\r\n\r\n');
  socket.write(`${head.replace(/content-length: \d+/, 'transfer-encoding: chunked')}\r\n\r\n`);
  const chunks = Array.from(body, (byte) => `1\r\n${byte}\r\n`);
  for (let at = 0; at < chunks.length && !socket.destroyed; at += 1_000) {
    if (!socket.write(chunks.slice(at, at + 1_000).join('')))
      await Promise.race([once(socket, 'drain'), once(socket, 'close')]);
  }
  if (!socket.destroyed) socket.write('0\r\n\r\n');
  await until(() => answer.includes('\r\n\r\n') || socket.destroyed, { timeoutMs: 60_000 });
  expect(answer).toMatch(/^Sojourn-Refused: over_memory\r$/m);
}

// ——— bodies whose values take many times their bytes ———

const BODIES = 16;
/** Below `limits.bodyBytes`, with the request around it. */
const BODY_BYTES = 4 * MIB - 500;

const word = (n: number): string => n.toString(36).padStart(4, 'x');
const repeated = (element: string): string =>
  `{"x":[${element.repeat(Math.floor(BODY_BYTES / element.length) - 1)}${element.slice(0, -1)}]}`;

/** The arguments of a call. */
const VALUES = {
  'empty objects': () => repeated('{},'),
  'nested arrays': () => repeated(`${'['.repeat(100)}${']'.repeat(100)},`),
  keys: () => `{${Array.from({ length: 400_000 }, (_, n) => `"${word(n)}":0`).join()}}`,
};

const CALL = { name: 'wait' };
const ERAS = {
  'a session': { meta: {}, headers: {} },
  '2026-07-28': { meta: { _meta: envelope() }, headers: mirrored('tools/call', CALL) as Record<string, string> },
  /** As a framework parses a body in chunks, which has no `Content-Length`. */
  'a parsed body': { meta: {}, headers: { 'x-parsed': 'yes', 'transfer-encoding': 'chunked' } },
};

const valued = (value: keyof typeof VALUES, era: keyof typeof ERAS = 'a session'): Attack =>
  onMemory(async (port) => {
    const { meta, headers } = ERAS[era];
    const caller = attacker(port, BODIES);
    if (era !== '2026-07-28') await caller.open();
    // Handlers run for longer than all bodies take to arrive.
    const args = `,"arguments":{"ms":4000,${VALUES[value]().slice(1)}`;
    const answers = await times(BODIES, BODIES, (n) => {
      const message = { jsonrpc: '2.0', id: 1_000 + n, method: 'tools/call', params: { ...CALL, ...meta } };
      return caller.post(JSON.stringify(message).replace(/\}\}$/, `${args}}}`), headers);
    });
    // Each body was served, or refused with an error that names a limit.
    const said = answers.map(({ text }) => /"content"|limits\.(?:memoryBytes|bodyKeys)/.exec(text)?.[0]);
    expect(said).not.toContain(undefined);
  });

// ——— clients that leave while their handlers run ———

const PADDING = 'y'.repeat(3.5 * MIB);
const SESSIONS = 6;
/** Fewer than a session may run. */
const CALLS_PER_SESSION = 16;
/** Longer than all of them take to arrive. */
const HANDLER_MS = 12_000;

type Send = (n: number) => string;

/** Opens sessions for these messages. Each has another id. */
async function onSessions(port: number, message: (id: number) => object): Promise<Send> {
  const ids = await times(SESSIONS, 1, () => attacker(port).open());
  return (n) => {
    const session = { 'mcp-session-id': ids[n % SESSIONS] ?? '', 'mcp-protocol-version': '2025-11-25' };
    return postOf(message(1_000 + n), session);
  };
}

/** Large calls on sessions, whose handlers run for `ms`. */
export const largeCalls = (port: number, ms: number): Promise<Send> =>
  onSessions(port, (id) => toolCall(id, 'wait', { ms, padding: PADDING }));

/** A handler holds what it got until it settles. */
export async function leave(port: number, send: Send): Promise<void> {
  await times(SESSIONS * CALLS_PER_SESSION, 8, (n) => {
    const socket = connect(port, '127.0.0.1', () => socket.end(send(n)));
    socket.on('error', () => {}).resume();
    return once(socket, 'close').catch(() => {});
  });
}

const notification = () => ({
  jsonrpc: '2.0',
  method: 'notifications/roots/list_changed',
  params: { _meta: { padding: PADDING } },
});

const modernCall: Send = (id) =>
  modernBytes(USER, id, { name: 'wait', arguments: { ms: HANDLER_MS, padding: PADDING } });

async function modernCalls(port: number): Promise<void> {
  const caller = attacker(port, 2_000);
  const params = { name: 'wait', arguments: { ms: 4_000 }, _meta: envelope() };
  const headers = mirrored('tools/call', params) as Record<string, string>;
  await times(3_000, 2_000, () => caller.rpc('tools/call', params, headers));
}

export const ATTACKS: Readonly<Record<string, Attack>> = {
  'handshakes of 4 MB': onBoth((port) => {
    const caller = attacker(port, 32);
    const big = (n: number) => ({ experimental: { big: { n, x: 'y'.repeat(4 * MIB - 500) } } });
    return times(100, 16, (n) => caller.initialize(big(n)));
  }),
  'ordinary handshakes without end': onMemory((port) => {
    const caller = attacker(port, 32);
    return times(6_000, 32, () => caller.initialize());
  }),
  'handshakes of more keys than any client sends, refused by name': onMemory(tooManyKeys),
  '1,500 sessions with the largest handshakes': onBoth(largestHandshakes),
  '700 sessions with 250 KB of state': onBoth(largeState),
  'answers that are not read': onBoth(deafCalls),
  'resumes of one long stream': onBoth(resumes),
  'resumes of one long stream that are not read': onBoth(deafResumes),
  'bodies that are sent slowly': onMemory(halfBodies),
  'a body in chunks of one byte': onMemory(smallChunks),
  'bodies of empty objects': valued('empty objects'),
  'bodies of nested arrays': valued('nested arrays'),
  'bodies of keys': valued('keys'),
  'bodies of empty objects in 2026-07-28': valued('empty objects', '2026-07-28'),
  'bodies of nested arrays that were parsed before': valued('nested arrays', 'a parsed body'),
  'calls without end in 2026-07-28': onMemory(modernCalls),
  'large calls of sessions, whose clients leave': onMemory(async (port) =>
    leave(port, await largeCalls(port, HANDLER_MS)),
  ),
  'large calls of 2026-07-28, whose handlers ignore that their clients leave': onMemory((port) =>
    leave(port, modernCall),
  ),
  'large notifications, whose clients leave': onMemory(async (port) =>
    leave(port, await onSessions(port, notification)),
  ),
};
