/**
 * `sojourn/store`: what authors of stores need. `docs/stores/your-own.md` shows how; `sojourn/testing` has the
 * contract.
 */
export { storeAway } from '../errors.ts';
export type { RandomSource } from '../options/system.ts';
export {
  type AppendRequest,
  type ClaimOutcome,
  type EndedSession,
  type EventStore,
  type ExpiredSession,
  type Fence,
  type InstanceLease,
  type InstanceMessage,
  type InstanceStore,
  isEnded,
  type LoggedEvent,
  type Marker,
  type MaybePromise,
  type NewRecord,
  type OpenStore,
  type OpenStreamInfo,
  type Ownership,
  RECORD_VERSION,
  type RecordChange,
  type ReplayOutcome,
  type SessionPage,
  type SessionStore,
  type Store,
  type StoredRecord,
  type StoreOptions,
  type WriteOutcome,
} from './store.ts';
export type { EndReason, EventRetention, Logger, TimeProvider } from '../types.ts';
