/**
 * What is shown of the record of a session, by `endpoint.sessions`, `sojourn sessions` and the dashboard: one function
 * for the fields of all three.
 */
import { sessionHash, userName } from '../../base/shown.ts';
import type { StoredRecord } from '../../stores/store.ts';
import type { SessionInfo } from '../../base/types.ts';
import { decodeSession, type SessionRecord } from './session-record.ts';

/** What is public of a record; `alive`: the instances that have a lease. */
export function sessionInfo(stored: StoredRecord, alive: ReadonlySet<string>): SessionInfo {
  const record = decodeSession(stored);
  const { id, owner, userKey } = record;
  const live = owner !== null && alive.has(owner);
  return {
    id,
    hash: sessionHash(id),
    status: live ? 'live' : statusOf(record),
    ...(live && { owner }),
    ...(userKey !== undefined && { userKey, userName: userName(userKey) }),
    clientInfo: record.handshake.params.clientInfo,
    protocolVersion: record.version,
    createdAt: record.createdAt,
    activeAt: record.activeAt,
  };
}

/** Where no instance has it. */
function statusOf({ owner, hibernated }: SessionRecord): SessionInfo['status'] {
  if (owner !== null) return 'orphaned';
  return hibernated === true ? 'hibernated' : 'released';
}

export type SessionSummary = ReturnType<typeof summary>;

export function summary(record: StoredRecord, alive: ReadonlySet<string>) {
  const info = sessionInfo(record, alive);
  const { name, version } = info.clientInfo;
  return { ...info, clientInfo: { name, version } };
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
