import type { SojournError } from '../errors.ts';
import type { LostRequest } from '../http/answer.ts';
import type { CallGuard } from './call-guard.ts';
import type { CallTimes } from './call-times.ts';
import type { QuirkSession } from './get-messages.ts';
import type { LeaseGate } from './lease-gate.ts';
import type { Ownership } from './ownership.ts';
import type { PendingListChanges } from './pending-list-changes.ts';
import type { RecordKeeper } from './record-keeper.ts';
import type { SharedLists } from './shared-lists.ts';
import type { Stream } from './stream.ts';
import type { StreamLog } from './stream-log.ts';

/** What requests need of their session. */
export interface RequestsSession extends QuirkSession {
  readonly ownership: Ownership;
  readonly record: RecordKeeper;
  readonly guard: CallGuard | undefined;
  readonly gate: LeaseGate;
  readonly callTimes: CallTimes;
  readonly listChanges: PendingListChanges;
  readonly lists: SharedLists | undefined;
  readonly usedGetStream: Pick<Stream, 'closeEarly'> | undefined;
  /** `undefined`: the session's streams are not logged. */
  readonly streamLog: StreamLog | undefined;
  /** A request begins or ends to use the session. */
  enter(): void;
  exit(): void;
  noteLarge(request: string): void;
  /** The answer to a request that ends without its result. */
  lostJson(request: LostRequest, error: SojournError): string;
}
