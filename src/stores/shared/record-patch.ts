/** A record after a write. Records are never changed in place, so a record that was read stays the same. */
import type { NewSessionRecord, RecordPatch, SessionRecord, SubscriptionChange } from '../store.ts';

/** `now`: the store's clock. */
export function patchRecord(record: SessionRecord, patch: RecordPatch, now: number): SessionRecord {
  return {
    ...record,
    version: patch.version ?? record.version,
    answer: patch.answer ?? record.answer,
    initialized: patch.initialized ?? record.initialized,
    logLevel: patch.logLevel === undefined ? record.logLevel : patch.logLevel,
    subscriptions: changedList(record.subscriptions, patch.subscriptions),
    state: patch.state === undefined ? record.state : patchState(record.state, patch.state),
    getStream: patch.getStream ?? record.getStream,
    activeAt: patch.activeAt ?? record.activeAt,
    expiresAt: patch.expiresInMs === undefined ? record.expiresAt : expiryAfter(patch.expiresInMs, now),
  };
}

export const expiryAfter = (ms: number | null, now: number): number | null => (ms === null ? null : now + ms);

/** A record with its own lists: the caller may change the lists that it passed. */
export function copyRecord(record: NewSessionRecord, expiresAt: number | null): SessionRecord {
  const { subscriptions, state } = record;
  return { ...record, subscriptions: copyList(subscriptions), state: copyState(state), expiresAt };
}

/** Shared, because most sessions have neither. */
const NO_LIST: readonly string[] = Object.freeze([]);
const NO_STATE: SessionRecord['state'] = Object.freeze({});

/** A new list, unless there are no changes. */
export function changedList(list: readonly string[], changes: readonly SubscriptionChange[] = []): readonly string[] {
  if (changes.length === 0) return list;
  const next = new Set(list);
  for (const [uri, subscribed] of changes) {
    next.delete(uri);
    if (subscribed) next.add(uri);
  }
  return next.size === 0 ? NO_LIST : [...next];
}

function copyList(list: readonly string[]): readonly string[] {
  return list.length === 0 ? NO_LIST : [...list];
}

function copyState(state: SessionRecord['state']): SessionRecord['state'] {
  return Object.keys(state).length === 0 ? NO_STATE : patchState(NO_STATE, state);
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
