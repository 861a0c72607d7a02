/**
 * Responses as sessions and calls see them. `HttpResponse` frames a response for a client that is connected here.
 * `LinkSink` passes its values to the instance that relayed the request, and that instance frames them.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import type { SojournError } from '../base/errors.ts';
import type { LostForm } from './answer.ts';
import type { MaybePromise } from '../stores/store.ts';
import type { Exchange } from './exchange.ts';

/**
 * Room on the link to the instance of a client. `undefined`: there is some. A function gives back what was kept, once
 * the events were sent or never will be. A promise: ask again when it resolves, which it does too when the link fails.
 */
export type Room = MaybePromise<(() => void) | void>;

/** Gets the messages of a stream. Sessions write to their clients only through this interface. */
export interface Sink {
  /** One message, as JSON text. `id`: the client can resume after it. */
  message(json: string, id?: string): void;
  /** An event with only an id, and the time that the client waits before it reconnects. */
  point(id: string, retryMs: number, emptyData: boolean): void;
  /** Ends the response cleanly. One without a value is an empty stream. */
  end(): void;
  /**
   * The next owner of the session serves the request: the instance that relayed it finds that owner, or this one does
   * where its client is connected here. `mayHaveRun`: the response continues after the last event.
   */
  handOver(mayHaveRun: boolean): void;
  /** Sends the head of a GET now. Without it the head leaves when the turn ends, or a little later. */
  sendHead(): void;
  /** Whether the client still reads. */
  readonly isOpen: boolean;
  /** `answers`: ids and points are dropped. */
  readonly takes: 'events' | 'answers';
  /** Its client is connected to another instance, and it takes events. */
  readonly isRelayed?: boolean;
  /** For events of so many bytes that are about to be stored, and then sent. */
  room?(bytes: number): Room;
  listener: SinkListener | undefined;
}

/**
 * The response to one request, the same in every attempt to serve it: `begin`, then points and messages, then `end`; or
 * one `refuse` or `done`. A value after the end does nothing.
 */
export interface ResponseSink extends Sink {
  /** Values follow. `policy`: the form of the response. A response that has begun keeps its form and continues. */
  begin(policy: ResponsePolicy): void;
  /**
   * Answers with an error: with its HTTP status where nothing was sent, else as a message. A stream that its client can
   * resume, or that answers no request, only ends. `id`: of the request.
   */
  refuse(error: SojournError, id: RequestId | null, form?: LostForm): void;
  /** Answers with a status alone. A response that has begun ends. */
  done(status: 200 | 202 | 204): void;
  /** Cuts the connection. */
  cut(): void;
  /** The attempt failed. What it began and did not send is dropped, and the next attempt begins again. */
  withdraw(): void;
  /** The answer carries it as `Mcp-Session-Id`. */
  sessionId: string | undefined;
  /** The id of the last event. */
  readonly lastId: string | undefined;
  /** The head of a stream was sent, or leaves when this turn ends. */
  readonly hasBegun: boolean;
}

/** The response to one request without a session, or what takes its place: the run of a task does. */
export interface AnswerSink extends Pick<
  ResponseSink,
  'message' | 'refuse' | 'done' | 'isOpen' | 'listener'
> {
  /** How often the request runs; `undefined`: once. */
  readonly attempt?: number;
  /** Set: the call has become a task, and its client has its answer. */
  readonly taskId?: string | undefined;
  begin(): void;
  /** `status`: of an answer that tells an error before any handler ran. */
  answer(json: string, status?: number): void;
}

/** An object instead of a function: the stream of a call listens without allocating a closure. */
export interface SinkListener {
  /**
   * A write to the store is under way, and its message reaches the sink in a moment. `undefined`: nothing of the
   * response is stored before it is sent.
   */
  readonly flushing?: boolean;
  /** The turn that made the response ends, and the response is not complete. */
  endTurn?(): void;
  /** The server of the connection stops listening: ends the response so that its client resumes. */
  hostStopped?(): void;
  /** The head of a stream was sent: what the stream begins with follows, before any other event. */
  opened?(sink: Sink): void;
  /** The session of the call, on another instance, answers what the call asked it. */
  replied?(answer: unknown): void;
  /** Called once: the response ended, its client disconnected, or it was cut because its client reads too slowly. */
  sinkClosed(sink: object): void;
}

/**
 * The response to a request on a session. `post`, and `resumed` where the client comes back for what follows the end of
 * the stream. `get`: it answers no request. `json`, `batch`: `responseMode: 'json'`.
 */
export type SessionResponse = 'post' | 'resumed' | 'get' | 'json' | 'batch';

/** Continues responses with the next owner of their session, after their last event. */
export interface Continuation {
  continueResponse(exchange: Exchange, sink: ResponseSink, kind: SessionResponse): void;
}

/** What responses of one kind have in common. */
export interface ResponsePolicy {
  /** The instances of a deployment name the policy so to each other. Absent: no session. */
  readonly onSession?: SessionResponse;
  /**
   * `auto`: an answer before which nothing was sent is a JSON body, everything else events. `json`: one answer as a
   * JSON body. `batch`: several, as an array.
   */
  readonly form: 'events' | 'auto' | 'json' | 'batch';
  /** An answer above 1 MiB, before which nothing was sent, is the body of the response (`isLarge`). */
  readonly largeAsJson?: boolean;
  /**
   * How long the head is held while an event is being stored, or where nothing is stored, while nothing precedes the
   * answer. Absent: the head leaves with its turn. JSON bodies wait for their answers.
   */
  readonly headMs?: number;
  /** While an event is being stored, the head is held until there is one with an id, however long that takes. */
  readonly headNeedsId?: boolean;
  /** Absent: no owner continues a response, and it ends. */
  readonly continuation?: Continuation;
  /** A stream that lasts as long as its client: it ends when the application's server stops listening. */
  readonly endsWithHost?: boolean;
  /** The stream ends when the access token of its caller expires. */
  readonly endsWithToken?: boolean;
}
