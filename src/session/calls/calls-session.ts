import type { SojournError } from '../../errors.ts';
import type { LostRequest } from '../../http/answer.ts';
import type { Markers } from './markers.ts';
import type { CallTimes } from './call-times.ts';
import type { QuirkSession } from '../streams/get-messages.ts';
import type { Ownership } from '../ownership/ownership.ts';
import type { PendingListChanges } from '../server/pending-list-changes.ts';
import type { RecordKeeper } from '../record/record-keeper.ts';
import type { SessionTransport } from '../server/transport.ts';
import type { SharedLists } from '../server/shared-lists.ts';
import type { SessionEventLog } from '../streams/event-log.ts';

/** What requests need of their session. */
export interface CallsSession extends QuirkSession {
  readonly ownership: Ownership;
  readonly transport: Pick<SessionTransport, 'callOf' | 'deliver' | 'deliverSilent'>;
  readonly record: RecordKeeper;
  readonly markers: Markers | undefined;
  readonly callTimes: CallTimes;
  readonly listChanges: PendingListChanges;
  readonly lists: SharedLists | undefined;
  /** `undefined`: the session's streams are not logged. */
  readonly streamLog: SessionEventLog | undefined;
  /** A request begins or ends to use the session. */
  enter(): void;
  exit(): void;
  noteLarge(request: string): void;
  /** The answer to a request that ends without its result. */
  lostJson(request: LostRequest, error: SojournError): string;
}
