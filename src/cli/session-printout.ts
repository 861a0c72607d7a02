/**
 * Formats sessions for `sojourn sessions`. Private data is left out: the values of `session.state`, and `_meta`.
 */
import {
  bytesOf,
  decodeSession,
  endReasonOf,
  type SessionStatus,
  type SessionSummary,
  summary,
} from '../endpoint/sessions.ts';
import { sessionHash } from '../base/shown.ts';
import type { EndedRecord, InstanceLease, StoredRecord } from '../stores/store.ts';

const HEAD = ['ID', 'HASH', 'STATUS', 'CLIENT', 'VERSION', 'ACTIVE', 'USER'] as const;
const WIDTHS = [22, 12, 10, 24, 10, 20, 0] as const;

/** `ids`: with the column of ids, which are credentials. */
export const tableHead = (ids: boolean): string => line(HEAD, WIDTHS, ids);

export function sessionRow(session: SessionSummary, ids: boolean): string {
  const { id, hash, status, clientInfo, protocolVersion, activeAt, userName } = session;
  const client = `${clientInfo.name} ${clientInfo.version}`;
  return line([id, hash, status, client, protocolVersion, timestamp(activeAt), userName ?? '-'], WIDTHS, ids);
}

export const sessionLine = (session: SessionSummary, ids: boolean): string => json(shownOf(session, ids));

export type SessionCounts = Record<SessionStatus, number>;

export function countLine({ live, hibernated, released, orphaned }: SessionCounts): string {
  const all = live + hibernated + released + orphaned;
  const others = [released > 0 && `${released} released`, orphaned > 0 && `${orphaned} orphaned`].filter(Boolean);
  const counts = [`${live} live`, `${hibernated} hibernated`, ...others].join(', ');
  return `\n${all} ${all === 1 ? 'session' : 'sessions'}: ${counts}\n`;
}

const shownOf = ({ id, ...rest }: SessionSummary, ids: boolean): object => (ids ? { id, ...rest } : rest);

/** What the store has beside the record of a session. */
export interface SessionSurroundings {
  readonly owner: InstanceLease | undefined;
  /** What is kept of its GET stream. */
  readonly getStream: { readonly messages: number; readonly bytes: number } | undefined;
}

/** All public fields of one session. Of `session.state`: the keys, and the size of each value in bytes. */
export function sessionDetails(
  record: StoredRecord,
  { owner, getStream: kept }: SessionSurroundings,
  asJson: boolean,
  ids: boolean,
): string {
  const { expiresAt } = record;
  const session = decodeSession(record);
  const { epoch, initialized, logLevel, subscriptions, getPrimed: getStream } = session;
  const { capabilities } = session.handshake;
  const state = Object.fromEntries(
    Object.entries(session.state).map(([key, text]) => [key, Buffer.byteLength(text)] as const),
  );
  const basics = summary(record, new Set(owner === undefined ? [] : [owner.id]));
  const bytes = bytesOf(record);
  if (asJson) {
    const { host, pid } = owner?.process ?? {};
    const rest = {
      ...(host !== undefined && { host, pid }),
      getStreamKept: kept,
      bytes,
      epoch,
      capabilities,
      initialized,
      logLevel,
      subscriptions,
      getStream,
      expiresAt,
      state,
    };
    return json({ ...shownOf(basics, ids), ...rest });
  }
  const rows: [string, string][] = [
    ...(ids ? [['id', basics.id] satisfies [string, string]] : []),
    ['hash', basics.hash],
    ['status', basics.status],
    ...(owner === undefined ? [] : [['owner', instanceText(owner)] satisfies [string, string]]),
    ['user', basics.userName ?? '-'],
    ['user key', basics.user ?? '-'],
    ['client', `${basics.clientInfo.name} ${basics.clientInfo.version}`],
    ['version', basics.protocolVersion],
    ['capabilities', Object.keys(capabilities).join(', ') || '-'],
    ['initialized', initialized ? 'yes' : 'no'],
    ['log level', logLevel ?? '-'],
    ['subscriptions', subscriptions.join(', ') || '-'],
    ['GET stream', getStream ? `opened before${keptText(kept)}` : 'never opened'],
    ['size', `${bytes.record} bytes: handshake ${bytes.handshake}, state and subscriptions ${bytes.fields}`],
    ['epoch', String(epoch)],
    ['created', timestamp(basics.createdAt)],
    ['active', timestamp(basics.activeAt)],
    ['expires', expiresAt === null ? 'never' : timestamp(expiresAt)],
    ...Object.entries(state).map(([key, bytes]): [string, string] => ['state', `${key} (${bytes} bytes)`]),
  ];
  return detailLines(rows);
}

export const detailLines = (rows: ReadonlyArray<readonly [name: string, value: string]>): string =>
  rows.map(([name, value]) => `${name.padEnd(15)}${printable(value)}\n`).join('');

const keptText = (kept: SessionSurroundings['getStream']): string =>
  kept === undefined ? '' : `, ${kept.messages} messages are kept (${kept.bytes} bytes)`;

export function endedLine(record: EndedRecord, asJson: boolean, ids: boolean): string {
  const { id, at } = record;
  const [ended, hash] = [endReasonOf(record), sessionHash(id)];
  if (asJson) return json({ ...(ids && { id }), hash, ended, at });
  return `${ids ? printable(id) : hash} ended (${ended}) at ${timestamp(at)}\n`;
}

/** A line of a table whose first column has ids. */
export const line = (cells: readonly string[], widths: readonly number[], ids: boolean): string =>
  ids ? row(cells, widths) : row(cells.slice(1), widths.slice(1));

/** A line of a table. */
export function row(cells: readonly string[], widths: readonly number[]): string {
  return `${cells
    .map((cell, n) => printable(cell).padEnd(widths[n] ?? 0))
    .join('  ')
    .trimEnd()}\n`;
}

/** An instance as `doctor` and errors name it. */
export function instanceText({ id, state, version, process }: InstanceLease): string {
  const where =
    process && `, ${process.host} pid ${process.pid} since ${timestamp(process.startedAt)}, ${process.runtime}`;
  return `${id} ${state}, sojourn ${version}${where ?? ''}`;
}

const INSTANCE_HEAD = ['INSTANCE', 'STATE', 'VERSION', 'HOST', 'PID', 'STARTED', 'RUNTIME', 'SESSIONS'] as const;
const INSTANCE_WIDTHS = [12, 8, 8, 20, 7, 20, 16, 0] as const;

export const instanceHead = (): string => row(INSTANCE_HEAD, INSTANCE_WIDTHS);

/** `sessions`: how many it has live. An older build says nothing of its process. */
export function instanceRow({ id, state, version, process }: InstanceLease, sessions: number): string {
  const { host = '–', pid = '–', startedAt, runtime = '–' } = process ?? {};
  const started = startedAt === undefined ? '–' : timestamp(startedAt);
  return row([id, state, version, host, String(pid), started, runtime, String(sessions)], INSTANCE_WIDTHS);
}

export function instanceLine({ id, state, version, process }: InstanceLease, sessions: number): string {
  return json({ id, state, version, ...process, sessions });
}

export const timestamp = (at: number): string => new Date(at).toISOString().replace(/\.\d+Z$/, 'Z');

/** Replaces control characters: clients choose their names, and must not control the operator's terminal. */
export const printable = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, '\u{fffd}');

/** `JSON.stringify` does not escape the control characters U+007F to U+009F. */
export const json = (value: object): string =>
  `${JSON.stringify(value).replace(/[\x7f-\x9f]/g, (char) => `\\u00${char.charCodeAt(0).toString(16)}`)}\n`;
