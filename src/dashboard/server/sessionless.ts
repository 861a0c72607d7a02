/** Clients without a session that sent requests to this instance in the last 15 minutes, by user, name and version. */
import { BoundedMap } from '../../bounded-map.ts';
import type { RequestNotice, SeenClient } from '../../observe/notices.ts';
import { keptText, userName } from '../../shown.ts';
import type { TimeProvider } from '../../types.ts';
import type { SessionlessClient } from '../wire-pages.ts';

/** A client may choose a new name for each request: then the oldest are forgotten. */
const CLIENTS = 256;
const KEPT_MS = 900_000;
const MINUTE_MS = 60_000;

interface Row {
  readonly client: SeenClient;
  activeAt: number;
  tool: string | undefined;
  minute: number;
  now: number;
  before: number;
}

export class Sessionless {
  readonly #time: Required<TimeProvider>;
  readonly #rows = new BoundedMap<string, Row>(CLIENTS);
  readonly #keys = new Set<string>();

  constructor(time: Required<TimeProvider>) {
    this.#time = time;
  }

  request({ client, method, target, failure }: RequestNotice): void {
    if (client === undefined) return;
    const now = this.#time.now();
    const key = `${client.user ?? ''}\n${client.name}\n${client.version}`;
    const row = this.#rows.use(key) ?? this.#add(key, client, now);
    shift(row, now);
    row.now += 1;
    row.activeAt = now;
    if (method === 'tools/call' && failure?.error === undefined) row.tool = target;
  }

  /** The newest first. */
  list(): SessionlessClient[] {
    const now = this.#time.now();
    const rows: SessionlessClient[] = [];
    for (const key of this.#keys) {
      const row = this.#rows.get(key);
      if (row === undefined || now - row.activeAt >= KEPT_MS) this.#keys.delete(key);
      else rows.push(shownRow(row, now));
    }
    return rows.toSorted((one, other) => other.activeAt - one.activeAt);
  }

  get count(): number {
    return this.list().length;
  }

  #add(key: string, client: SeenClient, now: number): Row {
    const row: Row = { client, activeAt: now, tool: undefined, minute: minuteOf(now), now: 0, before: 0 };
    this.#rows.set(key, row);
    this.#keys.add(key);
    if (this.#keys.size > CLIENTS * 2) for (const old of this.#keys) if (!this.#rows.has(old)) this.#keys.delete(old);
    return row;
  }
}

const minuteOf = (at: number): number => Math.floor(at / MINUTE_MS);

function shift(row: Row, now: number): void {
  const by = minuteOf(now) - row.minute;
  if (by <= 0) return;
  [row.before, row.now, row.minute] = [by === 1 ? row.now : 0, 0, minuteOf(now)];
}

function shownRow(row: Row, now: number): SessionlessClient {
  shift(row, now);
  const { client, activeAt, tool } = row;
  // The minute before counts for its part that is within the last 60 s.
  const perMinute = Math.round(row.now + row.before * (1 - (now % MINUTE_MS) / MINUTE_MS));
  return {
    clientInfo: { name: client.name, version: client.version },
    ...(client.user !== undefined && { userName: keptText(userName(client.user)) }),
    protocolVersion: client.protocolVersion,
    activeAt,
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
