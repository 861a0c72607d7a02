/**
 * Runs one shape against a fresh server process with a heap of 512 MB, while another user calls, and says what the
 * shape cost.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Attack, Sent } from '../processes/shape-client.ts';
import { type Measured, SmallHeap, sumOf } from '../processes/small-heap.ts';
import type { Shape } from './shape.ts';
import { startWitness, type Witnessed } from './witness.ts';

const CLIENT = fileURLToPath(new URL('../processes/shape-client.ts', import.meta.url));
const ANSWER_MS = 60_000;
/** How long the other user waits for an answer. */
const WITNESS_MS = 30_000;
/** A client of some shapes never comes to its first request. */
const BEGIN_MS = 10_000;

/** Less growth than this is code, sockets and what the collector keeps. */
const NOTICED_BYTES = 16 * 2 ** 20;
/** The part of the growth that may belong to no row. */
const UNCHARGED = 0.2;

export interface Cost {
  readonly alive: boolean;
  readonly sent: Sent;
  /** Growth of the heap while the client holds its connections, and what of it the rows have. */
  readonly heapBytes: number;
  readonly chargedBytes: number;
  readonly sessions: number;
  /** The other user's p99 before the attack. */
  readonly quietP99Ms: number;
  readonly witness: Witnessed;
  readonly output: string;
}

/** What `result` is, or `undefined` after this time or when `end` has come. */
async function within<T>(
  ms: number,
  result: Promise<T>,
  end: Promise<unknown>,
): Promise<T | undefined> {
  const over = new AbortController();
  const late = sleep(ms, undefined, { signal: over.signal }).catch(() => undefined);
  try {
    return await Promise.race([result, end.then(() => undefined), late]);
  } finally {
    over.abort();
  }
}

const NEVER = new Promise<never>(() => {});

async function ended(child: ChildProcess): Promise<void> {
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
}

const NOTHING: Measured = { heapBytes: 0, rows: {}, sessions: 0 };
const SENT_NOTHING: Sent = { bytes: 0, requests: 0, answers: {} };

/** What is unlike the defaults of the endpoint, which are attacked otherwise. */
export interface Scene {
  readonly options?: object;
  /** See `SmallHeap.start`. */
  readonly store?: string | undefined;
  /** Runs once the client sends. */
  begun?(): void;
  /** Runs when the client has left. */
  after?(server: SmallHeap): Promise<void>;
}

/** `ms`: how long the client sends. */
export async function measureShape(
  shape: Shape,
  ms: number,
  { options, store, begun, after }: Scene = {},
): Promise<Cost> {
  const server = await SmallHeap.start({ legacySse: true, ...options }, store);
  const measure = () => within(ANSWER_MS, server.measure(), server.closed);
  const client = fork(CLIENT, { execArgv: ['--import', 'tsx'] });
  const ready = once(client, 'message');
  try {
    const { port } = server;
    const witness = await startWitness(port, WITNESS_MS);
    try {
      await ready;
      const before = (await measure()) ?? NOTHING;
      const quietP99Ms = witness.begin();
      const began = once(client, 'message');
      client.send({ port, shape } satisfies Attack);
      await within(BEGIN_MS, began, server.closed);
      begun?.();
      await within(ms, NEVER, server.closed);
      const heard = once(client, 'message');
      client.send('stop', () => {});
      const [sent = SENT_NOTHING] = ((await within(ANSWER_MS, heard, NEVER)) ?? []) as [Sent?];
      const witnessed = witness.seen();
      const held = await measure();
      await ended(client);
      // Connections close within a turn of the server's event loop, and handlers settle then.
      const left = await measure().then(measure);
      if (server.alive) await after?.(server);
      const more = await witness.stop();
      const during = held ?? NOTHING;
      return {
        alive: server.alive && held !== undefined && left !== undefined,
        sent,
        heapBytes: during.heapBytes - before.heapBytes,
        chargedBytes: sumOf(during.rows) - sumOf(before.rows),
        sessions: during.sessions,
        quietP99Ms,
        witness: { ...witnessed, failed: [...witnessed.failed, ...more] },
        output: server.output,
      };
    } finally {
      await witness.stop();
    }
  } finally {
    client.kill('SIGKILL');
    await server.end();
  }
}

/**
 * A live session of the attacked server besides its handshake: 1,041 plain ones took 50 KiB each. `limits.sessions`
 * bounds them by their number, as far as a heap of this size has room for them.
 */
const SESSION_BYTES = 44 * 1024;

/** Growth that no row has, where it is large enough to tell. */
export function unchargedBytes({ heapBytes, chargedBytes, sessions }: Cost): number {
  const uncharged = heapBytes - chargedBytes - sessions * SESSION_BYTES;
  return heapBytes > NOTICED_BYTES && uncharged > UNCHARGED * heapBytes ? uncharged : 0;
}

/** A machine that others use makes every call slower. */
const SLOWER = 5;

/** What a shape must never do. `p99Ms` bounds what the other user waits, on a quiet machine. */
export function faults(cost: Cost, p99Ms = Infinity): string[] {
  const { alive, witness, heapBytes, output, quietP99Ms } = cost;
  const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  const uncharged = unchargedBytes(cost);
  return [
    ...(alive ? [] : [`the process ended: ${output.slice(-500)}`]),
    ...(witness.failed.length > 0
      ? [`${witness.failed.length} calls of the other user failed: ${witness.failed[0]}`]
      : []),
    ...(witness.calls === 0 ? ['the other user was not answered'] : []),
    ...(witness.p99Ms > Math.max(p99Ms, SLOWER * quietP99Ms)
      ? [
          `the other user waits ${witness.p99Ms.toFixed(0)} ms (p99), and ${quietP99Ms.toFixed(0)} ms before`,
        ]
      : []),
    ...(uncharged > 0 ? [`${mib(uncharged)} of ${mib(heapBytes)} belong to no row`] : []),
  ];
}
