/**
 * What is shown of the record of a session, by `endpoint.sessions`, `sojourn sessions` and the dashboard: one function
 * for the fields of all three.
 */
import { sessionHash, userName } from '../../base/shown.ts';
import type { StoredRecord } from '../../stores/store.ts';
import type { SessionInfo } from '../../base/types.ts';
import { decodeSession } from './session-record.ts';

/** What is public of a record; `alive`: the instances that have a lease. */
export function sessionInfo(stored: StoredRecord, alive: ReadonlySet<string>): SessionInfo {
  const record = decodeSession(stored);
  const { owner } = record;
  const live = owner !== null && alive.has(owner);
  return {
    id: record.id,
    status: live ? 'live' : 'hibernated',
    ...(live && { owner }),
    ...(record.user !== undefined && { user: record.user, userName: userName(record.user) }),
    clientInfo: record.handshake.params.clientInfo,
    protocolVersion: record.version,
    createdAt: record.createdAt,
    activeAt: record.activeAt,
  };
}

export type SessionSummary = ReturnType<typeof summary>;

/**
 * `hibernated`: it was idle. `released`: its instance drained. `orphaned`: its instance died. The next request of its
 * client continues all three.
 */
export type SessionStatus = 'live' | 'hibernated' | 'released' | 'orphaned';

function statusOf(record: StoredRecord, isLive: boolean): SessionStatus {
  if (isLive) return 'live';
  if (record.owner !== null) return 'orphaned';
  return decodeSession(record).hibernated === true ? 'hibernated' : 'released';
}

export function summary(record: StoredRecord, alive: ReadonlySet<string>) {
  const { id, status, ...info } = sessionInfo(record, alive);
  const { name, version } = info.clientInfo;
  // Log lines show this hash instead of the id.
  const ours = { id, hash: sessionHash(id), status: statusOf(record, status === 'live') };
  return { ...ours, ...info, clientInfo: { name, version } };
}

/** Bytes of the texts of a record. */
export function bytesOf({ head, body, fields }: StoredRecord) {
  const handshake = Buffer.byteLength(body);
  const own = Object.entries(fields).reduce(
    (sum, [name, text]) => sum + Buffer.byteLength(name + text),
    0,
  );
  return { record: Buffer.byteLength(head) + handshake + own, handshake, fields: own };
}
