import type { SojournError } from '../../errors.ts';
import type { LostRequest } from '../../http/answer.ts';
import type { SessionOwnership } from '../ownership/session-ownership.ts';
import type { RecordKeeper } from '../record/record-keeper.ts';
import type { PendingListChanges } from '../server/pending-list-changes.ts';
import type { SessionTransport } from '../server/session-transport.ts';
import type { SessionHost } from '../session-host.ts';
import type { SessionEventLog } from '../streams/event-log.ts';
import type { QuirkSession } from '../streams/get-messages.ts';
import type { Markers } from './markers.ts';

/** What calls need of their session. */
export interface CallsSession extends QuirkSession {
  readonly host: Pick<SessionHost, 'callTimes' | 'largeAnswers' | 'lists'>;
  readonly version: string;
  /** `undefined` until the factory has made it. */
  readonly server: object | undefined;
  readonly ownership: SessionOwnership;
  readonly transport: Pick<SessionTransport, 'around' | 'callOf' | 'deliver' | 'deliverSilent'>;
  readonly record: RecordKeeper;
  readonly markers: Markers | undefined;
  /** `undefined`: its client has missed none. */
  readonly usedListChanges: PendingListChanges | undefined;
  /** `undefined`: the session's streams are not logged. */
  readonly streamLog: SessionEventLog | undefined;
  /** A request begins or ends to use the session. */
  enter(): void;
  exit(): void;
  /** The answer to a request that ends without its result. */
  lostCallJson(request: LostRequest, error: SojournError): string;
}
