/**
 * `sojourn/internal`: what the stores of this project are made of (`sojourn-redis`,
 * `sojourn-postgres`). It promises nothing to others and changes with each version: they build on
 * `sojourn/store`.
 */
export { digestOf, digestText } from '../base/digest.ts';
export { type RandomSource, afterTurn, elapse } from '../base/system.ts';
export {
  SojournError,
  findsNoRoom,
  storeUnavailable,
  storeRefused,
  storeWithoutRoom,
  internal,
  optionInvalid,
} from '../base/errors.ts';
export { checkNames, checkText, got } from '../base/options/checks.ts';
export {
  type Backend,
  type DuePlace,
  type LogEntry,
  type EntryHead,
  type LogWrite,
  type Row,
  type RowWrite,
  type Write,
  type Written,
  isRowWrite,
} from './kernel/backend.ts';
export { byBytes } from './kernel/counted-bytes.ts';
export { kindsOf } from './kernel/open-view.ts';
export {
  countedIn,
  entryOfHead,
  entryOfTexts,
  entryTexts,
  rowOfColumns,
  unreadableRow,
  textsOf,
} from './kernel/row-texts.ts';
export { OVER } from './kernel/row-value.ts';
export { ServerClock } from './kernel/server-clock.ts';
export { TurnWrites, type Writes } from './kernel/turn-writes.ts';
export { Deadlines, answerLimitMs } from './shared/deadlines.ts';
export {
  LEASES,
  type Mailboxes,
  messageText,
  type Receive,
  receiveText,
} from './shared/instances.ts';
export { type Connector, LastingConnection } from './shared/lasting-connection.ts';
export { sharedStore } from './shared/shared-store.ts';
export type {
  InstanceMessage,
  KeptByAll,
  Kind,
  MaybePromise,
  Store,
  StoreOptions,
  StoreRoom,
} from './store.ts';
export type { Logger } from '../base/types.ts';
