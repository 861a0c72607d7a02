/** Sessions as `sojourn sessions` prints them. What is the client's or the user's business alone is not in it: no state, no `_meta`. */
import { sessionHash } from '../shown.ts';
import type { EndedSession, SessionRecord } from '../stores/store.ts';

type Alive = ReadonlySet<string>;

const HEAD = ['ID', 'HASH', 'STATUS', 'CLIENT', 'VERSION', 'ACTIVE', 'USER'] as const;
const WIDTHS = [22, 12, 10, 24, 10, 20, 0] as const;

export const tableHead = (): string => line(HEAD);

export function sessionRow(record: SessionRecord, alive: Alive): string {
  const { id, hash, status, clientInfo, protocolVersion, activeAt, user } = summary(record, alive);
  const client = `${clientInfo.name} ${clientInfo.version}`;
  return line([id, hash, status, client, protocolVersion, moment(activeAt), user ?? '-']);
}

export const sessionLine = (record: SessionRecord, alive: Alive): string => json(summary(record, alive));

/** Everything of one session that is nobody's secret; of `session.state` the keys, with the bytes of their values. */
export function sessionDetails(record: SessionRecord, alive: Alive, asJson: boolean): string {
  const { epoch, initialized, logLevel, subscriptions, getStream, expiresAt } = record;
  const { capabilities } = record.handshake;
  const state = Object.fromEntries(
    Object.entries(record.state).map(([key, text]) => [key, Buffer.byteLength(text)] as const),
  );
  const basics = summary(record, alive);
  if (asJson) {
    const rest = { epoch, capabilities, initialized, logLevel, subscriptions, getStream, expiresAt, state };
    return json({ ...basics, ...rest });
  }
  const rows: [string, string][] = [
    ['id', basics.id],
    ['hash', basics.hash],
    ['status', basics.owner === undefined ? basics.status : `${basics.status} on ${basics.owner}`],
    ['user', basics.user ?? '-'],
    ['client', `${basics.clientInfo.name} ${basics.clientInfo.version}`],
    ['version', basics.protocolVersion],
    ['capabilities', Object.keys(capabilities).join(', ') || '-'],
    ['initialized', initialized ? 'yes' : 'no'],
    ['log level', logLevel ?? '-'],
    ['subscriptions', subscriptions.join(', ') || '-'],
    ['GET stream', getStream ? 'opened before' : 'never opened'],
    ['epoch', String(epoch)],
    ['created', moment(basics.createdAt)],
    ['active', moment(basics.activeAt)],
    ['expires', expiresAt === null ? 'never' : moment(expiresAt)],
    ...Object.entries(state).map(([key, bytes]): [string, string] => ['state', `${key} (${bytes} bytes)`]),
  ];
  return rows.map(([name, value]) => `${name.padEnd(15)}${plain(value)}\n`).join('');
}

export function endedLine({ id, ended, at }: EndedSession, asJson: boolean): string {
  return asJson ? json({ id, ended, at }) : `${plain(id)} ended (${ended}) at ${moment(at)}\n`;
}

function summary(record: SessionRecord, alive: Alive) {
  const { id, owner, user, version, handshake, createdAt, activeAt } = record;
  const { name, version: clientVersion } = handshake.clientInfo;
  const live = owner !== null && alive.has(owner);
  return {
    id,
    // What log lines show instead of the id.
    hash: sessionHash(id),
    status: live ? 'live' : 'hibernated',
    ...(live && { owner }),
    ...(user !== null && { user }),
    clientInfo: { name, version: clientVersion },
    protocolVersion: version,
    createdAt,
    activeAt,
  };
}

function line(cells: readonly string[]): string {
  return `${cells
    .map((cell, n) => plain(cell).padEnd(WIDTHS[n] ?? 0))
    .join('  ')
    .trimEnd()}\n`;
}

const moment = (at: number): string => new Date(at).toISOString().replace(/\.\d+Z$/, 'Z');

/** Clients choose their names: none of them may write to the operator's terminal. */
const plain = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, '\u{fffd}');

/** JSON leaves the second range of control characters as they are. */
const json = (value: object): string =>
  `${JSON.stringify(value).replace(/[\x7f-\x9f]/g, (char) => `\\u00${char.charCodeAt(0).toString(16)}`)}\n`;
