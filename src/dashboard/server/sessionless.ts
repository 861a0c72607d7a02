/** Clients without a session that sent requests to this instance in the last 15 minutes, by user, name and version. */
import type { RequestNotice, SeenClient } from '../../observe/notices.ts';
import { keptText, userName } from '../../base/shown.ts';
import type { TimeProvider } from '../../types.ts';
import type { SessionlessClient } from '../wire-pages.ts';

/** A client may choose a new name for each request: then those that were quiet for longest are forgotten. */
const CLIENTS = 256;
const KEPT_MS = 900_000;
const MINUTE_MS = 60_000;

interface Row {
  readonly client: SeenClient;
  readonly user: string | undefined;
  /** A time of `monotonic()`. */
  activeAt: number;
  tool: string | undefined;
  minute: number;
  now: number;
  before: number;
}

export class Sessionless {
  readonly #time: Required<TimeProvider>;
  /** Rows by the key of the user, or by the name of the client where there is none: no text is made to look one up. */
  readonly #rows = new Map<string, Row[]>();
  #count = 0;

  constructor(time: Required<TimeProvider>) {
    this.#time = time;
  }

  request({ client, user, method, target, failure, endedAt }: RequestNotice): void {
    if (client === undefined) return;
    const row = this.#find(client, user) ?? this.#add(client, user, endedAt);
    shift(row, endedAt);
    row.now += 1;
    row.activeAt = endedAt;
    if (method === 'tools/call' && failure?.error === undefined) row.tool = target;
  }

  /** The newest first. */
  list(): SessionlessClient[] {
    this.#forget(this.#time.monotonic() - KEPT_MS);
    const sinceStart = this.#time.now() - this.#time.monotonic();
    return [...this.#rows.values()]
      .flat()
      .toSorted((one, other) => other.activeAt - one.activeAt)
      .map((row) => shownRow(row, this.#time.monotonic(), sinceStart));
  }

  get count(): number {
    this.#forget(this.#time.monotonic() - KEPT_MS);
    return this.#count;
  }

  #find({ name, version }: SeenClient, user: string | undefined): Row | undefined {
    for (const row of this.#rows.get(user ?? name) ?? NONE)
      if (row.client.name === name && row.client.version === version && row.user === user) return row;
    return undefined;
  }

  #add(client: SeenClient, user: string | undefined, now: number): Row {
    if (this.#count >= CLIENTS) this.#forget(this.#quietest());
    const row: Row = { client, user, activeAt: now, tool: undefined, minute: minuteOf(now), now: 0, before: 0 };
    const key = user ?? client.name;
    this.#rows.set(key, [...(this.#rows.get(key) ?? NONE), row]);
    this.#count += 1;
    return row;
  }

  /** When a quarter of them were active last, or before: a new client each time costs one look in so many. */
  #quietest(): number {
    const times = [...this.#rows.values()].flat().map(({ activeAt }) => activeAt);
    return times.toSorted((one, other) => one - other)[CLIENTS / 4] ?? 0;
  }

  /** Those that were active at `until` or before. */
  #forget(until: number): void {
    for (const [key, rows] of this.#rows) {
      const kept = rows.filter(({ activeAt }) => activeAt > until);
      if (kept.length === rows.length) continue;
      this.#count -= rows.length - kept.length;
      if (kept.length > 0) this.#rows.set(key, kept);
      else this.#rows.delete(key);
    }
  }
}

const NONE: readonly Row[] = [];
const minuteOf = (at: number): number => Math.floor(at / MINUTE_MS);

function shift(row: Row, now: number): void {
  const by = minuteOf(now) - row.minute;
  if (by <= 0) return;
  [row.before, row.now, row.minute] = [by === 1 ? row.now : 0, 0, minuteOf(now)];
}

function shownRow(row: Row, now: number, sinceStart: number): SessionlessClient {
  shift(row, now);
  const { client, user, activeAt, tool } = row;
  // The minute before counts for its part that is within the last 60 s.
  const perMinute = Math.round(row.now + row.before * (1 - (now % MINUTE_MS) / MINUTE_MS));
  return {
    clientInfo: { name: client.name, version: client.version },
    ...(user !== undefined && { userName: keptText(userName(user)) }),
    protocolVersion: client.protocolVersion,
    activeAt: Math.round(sinceStart + activeAt),
    ...(tool !== undefined && { tool }),
    perMinute,
  };
}

/** The clients of several instances as those of the fleet. */
export function joinedClients(all: readonly (readonly SessionlessClient[])[]): SessionlessClient[] {
  const byKey = new Map<string, SessionlessClient>();
  for (const client of all.flat()) {
    const key = JSON.stringify([client.userName, client.clientInfo.name, client.clientInfo.version]);
    const known = byKey.get(key);
    const newer = known !== undefined && known.activeAt > client.activeAt ? known : client;
    byKey.set(key, { ...newer, perMinute: (known?.perMinute ?? 0) + (client.perMinute ?? 0) });
  }
  return [...byKey.values()].toSorted((one, other) => other.activeAt - one.activeAt);
}
