/** `sojourn/store`: what authors of stores need. `docs/internals/your-own.md` shows how. */
export { storeAway } from '../errors.ts';
export {
  type Backend,
  type DuePlace,
  type Entry,
  type EntryHead,
  type HeadMore,
  isRowWrite,
  type LogWrite,
  type Row,
  type RowWrite,
  type Write,
  type Written,
} from './kernel/backend.ts';
export { openView, type ViewParts } from './kernel/open-view.ts';
export { type EntryTexts, entryOfTexts, entryTexts, rowOf, type RowTexts, textsOf } from './kernel/row-texts.ts';
export type { Mailboxes, Receive } from './shared/instances.ts';
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
