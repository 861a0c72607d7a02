/** `sojourn/store`: what authors of stores need. `docs/internals/your-own.md` shows how. Experimental. */
export { storeUnavailable } from '../base/errors.ts';
export {
  type Backend,
  type DuePlace,
  type LogEntry,
  type EntryHead,
  type HeadMore,
  isRowWrite,
  type LogWrite,
  type Row,
  type RowWrite,
  type Write,
  type Written,
} from './kernel/backend.ts';
export { entryBytes } from './kernel/counted-bytes.ts';
export { openView, type ViewParts } from './kernel/open-view.ts';
export {
  countedIn,
  type EntryTexts,
  entryOfTexts,
  entryTexts,
  rowOf,
  type RowTexts,
  textsOf,
} from './kernel/row-texts.ts';
export type { Mailboxes, Receive } from './shared/instances.ts';
export type { RandomSource } from '../base/system.ts';
export {
  type EndedRecord,
  type InstanceMessage,
  type InstanceStore,
  type KeptByAll,
  isEnded,
  type Kind,
  type Mark,
  type MaybePromise,
  type OpenStore,
  type OpenStream,
  type Records,
  type Store,
  type StoredRecord,
  type StoreOptions,
} from './store.ts';
export type { EventRetention, Logger, TimeProvider } from '../base/types.ts';
