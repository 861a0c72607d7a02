/**
 * The time of a ping to a hibernated session, and of the next ping to the same session awake, over loopback HTTP from this
 * process. Both processes note the pauses of their collectors, and a ping that overlaps one counts apart.
 */
import { PerformanceObserver } from 'node:perf_hooks';
import { Connection } from './connection.ts';
import { post } from './raw-session.ts';
import type { ServerProcess } from './server-process.ts';
import { percentile } from './statistics.ts';

export interface Times {
  readonly count: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

export interface Wakes {
  /** Of all pings. */
  readonly asleep: Times;
  readonly awake: Times;
  /** Pings to hibernated sessions during which neither process collected. */
  readonly undisturbed: Times;
  /** Those during which the server's collector paused. */
  readonly paused: Times;
  /** Those during which only the collector of the client paused. */
  readonly clientPaused: Times;
  /** The server's pauses during all pings. */
  readonly pauses: { readonly count: number; readonly medianUs: number; readonly longestUs: number };
}

interface Span {
  /** ms by the clock of the machine. */
  readonly from: number;
  readonly to: number;
}

/** Start and duration, in ms. */
type Pause = readonly [at: number, ms: number];

const WARM_WAKES = 200;
const VERSION = '2025-06-18';

const now = (): number => performance.timeOrigin + performance.now();

export async function measureWakes(server: ServerProcess, port: number, sessionIds: readonly string[]): Promise<Wakes> {
  const connection = await Connection.open(port);
  const ping = async (sessionId: string): Promise<Span> => {
    const bytes = post({ jsonrpc: '2.0', id: 1, method: 'ping' }, { sessionId, version: VERSION });
    const from = now();
    const { status } = await connection.send(bytes);
    const to = now();
    if (status !== 200) throw new Error(`a ping was answered with ${String(status)}`);
    return { from, to };
  };
  for (const sessionId of sessionIds.slice(0, WARM_WAKES)) await ping(sessionId);
  await server.ask('asleep');
  const own: Span[] = [];
  const observer = new PerformanceObserver((list) => {
    for (const { startTime, duration } of list.getEntries())
      own.push(spanOf([performance.timeOrigin + startTime, duration]));
  });
  observer.observe({ entryTypes: ['gc'] });
  const [asleep, awake]: Span[][] = [[], []];
  for (const sessionId of sessionIds.slice(WARM_WAKES)) {
    asleep?.push(await ping(sessionId));
    awake?.push(await ping(sessionId));
  }
  const pauses = await server.ask<readonly Pause[]>('pauses');
  observer.disconnect();
  connection.close();
  return sorted(asleep ?? [], awake ?? [], pauses, own);
}

const spanOf = ([at, ms]: Pause): Span => ({ from: at, to: at + ms });

function sorted(
  asleep: readonly Span[],
  awake: readonly Span[],
  pauses: readonly Pause[],
  own: readonly Span[],
): Wakes {
  const spans = pauses.map(spanOf);
  const overlaps =
    (others: readonly Span[]) =>
    ({ from, to }: Span): boolean =>
      others.some((other) => other.from < to && from < other.to);
  const [inServer, inClient] = [overlaps(spans), overlaps(own)];
  const lengths = pauses.map(([, ms]) => ms * 1_000).toSorted((a, b) => a - b);
  return {
    asleep: timesOf(asleep),
    awake: timesOf(awake),
    undisturbed: timesOf(asleep.filter((span) => !inServer(span) && !inClient(span))),
    paused: timesOf(asleep.filter(inServer)),
    clientPaused: timesOf(asleep.filter((span) => !inServer(span) && inClient(span))),
    pauses: { count: lengths.length, medianUs: percentile(lengths, 0.5), longestUs: lengths.at(-1) ?? 0 },
  };
}

function timesOf(spans: readonly Span[]): Times {
  const us = spans.map(({ from, to }) => (to - from) * 1_000).toSorted((a, b) => a - b);
  return { count: us.length, p50Us: percentile(us, 0.5), p99Us: percentile(us, 0.99) };
}
