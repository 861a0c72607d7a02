import type { SojournError } from '../../errors.ts';
import type { LostRequest } from '../../http/answer.ts';
import type { RpcNotification, RpcRequest, RpcResponse } from '../../protocol/jsonrpc.ts';
import type { SessionOwnership } from '../ownership/session-ownership.ts';
import type { RecordKeeper } from '../record/record-keeper.ts';
import type { PendingListChanges } from '../streams/pending-list-changes.ts';
import type { SessionHost } from '../session-host.ts';
import type { SessionEventLog } from '../streams/event-log.ts';
import type { Stream } from '../streams/stream.ts';
import type { Call, Caller, RunAround } from './call.ts';
import type { HandlerWork } from './handler-work.ts';
import type { GetSession } from '../streams/get-messages.ts';
import type { Markers } from './markers.ts';

/** Where messages enter the server of a session. */
export interface EnteredServer {
  /** `stream`: where the answer of a request goes. */
  callOf(message: RpcRequest, caller: Caller | undefined, stream: Stream | undefined): Call;
  /** `undefined`: without the option `aroundRequest`. */
  around(call: Call, attempt: number): RunAround | undefined;
  /** Returns the error of a server that threw. */
  deliver(message: RpcRequest, call: Call): SojournError | undefined;
  /** Delivers a notification, or an answer without a `method`. `work`: of the handler of the notification. */
  deliverSilent(
    message: RpcNotification | RpcResponse,
    caller: Caller | undefined,
    method?: string,
    work?: HandlerWork,
  ): void;
}

/** What calls need of their session. */
export interface CallsSession extends GetSession {
  readonly host: Pick<SessionHost, 'callTimes' | 'largeAnswers' | 'lists'>;
  readonly version: string;
  /** `undefined` until the factory has made it. */
  readonly server: object | undefined;
  readonly ownership: SessionOwnership;
  readonly transport: EnteredServer;
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
