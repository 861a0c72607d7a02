// @module-tag matrix
/**
 * What a live session takes in the heap of a process, beside what the rows of `held.ts` charge for it. A separate
 * process measures each shape and calls its garbage collector.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { handshakeIn, memoryOf } from '../../src/session/record/handshake.ts';
import { memoryRows } from '../../src/limits/held.ts';
import { Subscriptions } from '../../src/session/record/subscriptions.ts';
import { DurableState } from '../../src/session/record/state.ts';

const MEASURE = fileURLToPath(new URL('processes/held-bytes.mjs', import.meta.url));
/** A charge may be this much below what is measured. */
const PART = 0.8;
const MIB = 2 ** 20;

interface Kept {
  readonly params: object;
  readonly state?: ReadonlyArray<readonly [key: string, value: unknown]>;
  readonly uris?: readonly string[];
}

/** Bytes for each session. */
async function measured(kept: Kept): Promise<number> {
  const run = promisify(execFile)(process.execPath, ['--expose-gc', MEASURE]);
  run.child.stdin?.end(JSON.stringify(kept));
  const { stdout, stderr } = await run;
  return Number(stdout) / Number(stderr);
}

const handshake = (capabilities: object, name = 'client'): object => ({
  protocolVersion: '2025-11-25',
  capabilities,
  clientInfo: { name, version: '1' },
});
const PLAIN = handshake({});
const each = <T>(count: number, one: (n: number) => T): T[] => Array.from({ length: count }, (_, n) => one(n));
const keys = (count: number, value: unknown): object => Object.fromEntries(each(count, (n) => [`k${n}x#`, value]));

const HANDSHAKES: Readonly<Record<string, object>> = {
  'one long name': handshake({}, `#${'n'.repeat(15_000)}`),
  'a long text with wide characters': handshake({ experimental: { x: { y: `#${'ж'.repeat(7_000)}` } } }),
  'as many keys as it may have': handshake({ experimental: keys(250, {}) }),
  'nested objects': handshake({ experimental: keys(60, { a: { b: { c: {} } } }) }),
  'empty objects in an array': handshake({ experimental: { '#': { y: each(480, () => ({})) } } }),
  'numbers in an array': handshake({ experimental: { '#': { y: each(7_000, () => 1) } } }),
  'short texts in an array': handshake({ experimental: { '#': { y: each(2_500, (n) => n.toString(36)) } } }),
};

const STATES: Readonly<Record<string, Kept['state']>> = {
  'one long text': [['#', 'x'.repeat(200_000)]],
  'one long text with a wide character': [['#', `ж${'x'.repeat(200_000)}`]],
  'many short values': each(200, (n) => [`key ${n}#`, n] as const),
};

const URIS: Readonly<Record<string, readonly string[]>> = {
  'short URIs': each(60, (n) => `a:${n}#`),
  'long URIs': each(20, (n) => `file:///#/${'x'.repeat(1_000)}${n}`),
};

const numbered = <T>(value: T): T => JSON.parse(JSON.stringify(value).replaceAll('#', '0000')) as T;

function chargedState(state: NonNullable<Kept['state']>): Promise<number> {
  const held = memoryRows(Infinity);
  const values = new DurableState(
    {},
    {
      options: { limits: { stateBytes: MIB } } as never,
      held,
      hold: (bytes, has, share) => held.sessions.take(bytes, has, share),
    },
    { left: false } as never,
    { exists: false, creating: undefined, saveOrThrow: () => {} },
    'user ann',
  );
  return Promise.all(numbered(state).map(([key, value]) => values.set(key, value))).then(() => held.sessions.used);
}

function chargedUris(uris: readonly string[]): number {
  const { sessions } = memoryRows(Infinity);
  new Subscriptions(sessions, 'user ann', numbered(uris));
  return sessions.used;
}

const plain = measured({ params: PLAIN });
const chargedHandshake = (params: object): number => memoryOf(handshakeIn(JSON.stringify(numbered(params))));

const cases: Array<readonly [name: string, kept: Kept, charged: () => number | Promise<number>]> = [
  ...Object.entries(HANDSHAKES).map(
    ([name, params]) =>
      [`a handshake with ${name}`, { params }, () => chargedHandshake(params) - chargedHandshake(PLAIN)] as const,
  ),
  ...Object.entries(STATES).map(
    ([name, state = []]) => [`state of ${name}`, { params: PLAIN, state }, () => chargedState(state)] as const,
  ),
  ...Object.entries(URIS).map(
    ([name, uris]) => [`subscriptions to ${name}`, { params: PLAIN, uris }, () => chargedUris(uris)] as const,
  ),
];

test.each(cases)('%s is charged no less than it takes', { timeout: 120_000 }, async (name, kept, charged) => {
  const taken = (await measured(kept)) - (await plain);
  const part = (await charged()) / taken;
  console.log(`${name}: takes ${Math.round(taken / 1_024)} KiB, is charged ${part.toFixed(2)} of that`);
  expect(part).toBeGreaterThan(PART);
});
