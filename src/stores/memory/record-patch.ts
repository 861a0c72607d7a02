/** A record after a write. Records are never changed in place, so a record that was read stays the same. */
import type { RecordPatch, SessionRecord } from '../store.ts';

export function patchRecord(record: SessionRecord, patch: RecordPatch): SessionRecord {
  return {
    ...record,
    version: patch.version ?? record.version,
    answer: patch.answer ?? record.answer,
    initialized: patch.initialized ?? record.initialized,
    logLevel: patch.logLevel === undefined ? record.logLevel : patch.logLevel,
    subscriptions: patch.subscriptions === undefined ? record.subscriptions : copyList(patch.subscriptions),
    state: patch.state === undefined ? record.state : patchState(record.state, patch.state),
    getStream: patch.getStream ?? record.getStream,
    activeAt: patch.activeAt ?? record.activeAt,
    expiresAt: patch.expiresAt === undefined ? record.expiresAt : patch.expiresAt,
  };
}

/** A record with its own lists: the caller may change the lists that it passed. */
export function copyRecord(record: SessionRecord): SessionRecord {
  return { ...record, subscriptions: copyList(record.subscriptions), state: patchState(NO_STATE, record.state) };
}

/** Shared, because most sessions have neither. */
const NO_LIST: readonly string[] = Object.freeze([]);
const NO_STATE: SessionRecord['state'] = Object.freeze({});

function copyList(list: readonly string[]): readonly string[] {
  return list.length === 0 ? NO_LIST : [...list];
}

/** `fromEntries` makes own properties of all keys, `__proto__` included. */
function patchState(
  state: SessionRecord['state'],
  changes: Readonly<Record<string, string | null>>,
): SessionRecord['state'] {
  const next = new Map(Object.entries(state));
  for (const [key, value] of Object.entries(changes)) {
    if (value === null) next.delete(key);
    else next.set(key, value);
  }
  return next.size === 0 ? NO_STATE : Object.fromEntries(next);
}
