/**
 * A live session as its parts see it: one interface for all of them, so that no part imports the session. The parts that
 * need the whole session are here by what others call of them.
 */
import type { SojournError } from '../base/errors.ts';
import type {
  RpcMessage,
  RpcNotification,
  RpcRequest,
  RpcResponse,
} from '../base/protocol/jsonrpc.ts';
import type { AnyServer } from '../sdk/server-shape.ts';
import type { LeaveReason, Logger } from '../base/types.ts';
import type { CallHost } from './calls/call-services.ts';
import type { Call, Caller, SessionOfCall } from './calls/call.ts';
import type { FarServer, ForServer, Home } from './calls/home.ts';
import type { Markers } from './calls/markers.ts';
import type { RunningCalls } from './calls/running-calls.ts';
import type { SessionOwnership } from './ownership/session-ownership.ts';
import type { RecordKeeper } from './record/record-keeper.ts';
import type { SessionIdentity } from './record/session-record.ts';
import type { SessionRun } from './session-run.ts';
import type { SessionEventLog } from './streams/event-log.ts';
import type { Stream } from './streams/stream.ts';

export interface SessionParts extends SessionIdentity, SessionOfCall {
  readonly host: CallHost;
  readonly logger: Logger;
  /** `undefined` until the factory has made it. */
  readonly server: AnyServer | undefined;
  readonly signal: AbortSignal;
  readonly ownership: SessionOwnership;
  readonly record: RecordKeeper;
  /** `undefined`: no other process can own the session, so its sends are never held. */
  readonly markers: Markers | undefined;
  /** `undefined`: sessions have no run hook. */
  readonly run: SessionRun | undefined;
  readonly calls: PartCalls;
  readonly transport: PartTransport;
  readonly getStream: Stream;
  /** Whether a client reads the GET stream now. */
  readonly hasGetSink: boolean;
  /** The members `used…` are `undefined` until they are used: most sessions need none of them. */
  readonly usedGetStream: Stream | undefined;
  readonly usedQuestions: PartQuestions | undefined;
  readonly questions: PartQuestions;
  /** `undefined`: the session's streams are not logged. */
  readonly streamLog: SessionEventLog | undefined;
  /** A request begins or ends to use the session. */
  enter(): void;
  exit(): void;
  /** Sends a message about the session on its GET stream. */
  push(message: RpcNotification): void;
  /** Sends an answer that the stream of its call cannot carry. */
  pushAnswer(json: string): void;
  /** Sends the `list_changed` that its client has missed. */
  sendMissed(stream: Stream): void;
  serverClosed(): void;
}

/** Its requests (`calls/session-calls.ts`). */
interface PartCalls {
  readonly running: RunningCalls;
  answer(message: RpcResponse): void;
  expire(call: Call, error: SojournError): Promise<void>;
  leave(reason: LeaveReason, othersServe: boolean): void;
}

/** Where messages enter its server (`server/session-transport.ts`). */
interface PartTransport extends Home {
  /** `stream`: where the answer of a request goes. `attempt`: runs that `middleware` is around are counted. */
  callOf(message: RpcMessage, caller: Caller | undefined, stream?: Stream, attempt?: number): Call;
  /** Returns the error of a server that threw. */
  deliver(message: RpcMessage, call: Call): SojournError | undefined;
  close(): Promise<void>;
}

/** What its server asks its client (`calls/questions.ts`). */
interface PartQuestions {
  ask(question: RpcRequest, call: Call | undefined): Promise<void> | undefined;
  answer(response: RpcResponse): ForServer<RpcResponse> | undefined;
  cancel(notification: RpcNotification, far: FarServer | undefined): RpcNotification | undefined;
  progress(notification: RpcNotification): ForServer<RpcNotification>;
  send(): void;
  firstAnswers(stream: Stream): Promise<void> | undefined;
  leave(reason: LeaveReason): Promise<void> | undefined;
}
