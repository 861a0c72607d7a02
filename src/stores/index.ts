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
  type Handshake,
  type InstanceLease,
  type InstanceMessage,
  type InstanceStore,
  isEnded,
  type LoggedEvent,
  type Marker,
  type MaybePromise,
  type NewSessionRecord,
  type OpenStore,
  type OpenStreamInfo,
  type Ownership,
  RECORD_VERSION,
  type RecordPatch,
  type ReplayOutcome,
  type SessionPage,
  type SessionRecord,
  type SessionStore,
  type Store,
  type StoreOptions,
  type SubscriptionChange,
  type WriteOutcome,
} from './store.ts';
export type { EndReason, EventRetention, Logger, TimeProvider } from '../types.ts';
