/**
 * `sojourn/store`: what authors of stores need. `docs/internals/your-own.md` shows how; `sojourn/testing` has the
 * contract.
 */
export { storeAway } from '../errors.ts';
export type { RandomSource } from '../base/system.ts';
export {
  type AppendRequest,
  type ClaimOutcome,
  type DueRecord,
  type EndedRecord,
  type Fence,
  type InstanceLease,
  type InstanceProcess,
  type InstanceMessage,
  type InstanceStore,
  isEnded,
  type LoggedEvent,
  type Kind,
  type Mark,
  type MaybePromise,
  type NewRecord,
  type OpenStore,
  type OpenStream,
  type Ownership,
  RECORD_VERSION,
  type RecordChange,
  type RecordPage,
  type Records,
  type ReplayOutcome,
  type SaveOutcome,
  type Seen,
  type Store,
  type StoredRecord,
  type StoreOptions,
  type WriteOutcome,
} from './store.ts';
export type { EventRetention, Logger, TimeProvider } from '../types.ts';
