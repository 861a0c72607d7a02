/**
 * What happens in an endpoint, as one stream of notices. These places emit, and no other place keeps count of what
 * happened:
 *
 *     request         the end of an exchange (`WatchedRequest`), on the instance that has the client
 *     requestRefused  `http/answer.ts`, by `Exchange.refused`; and a path that is not served (`http/listen/listen.ts`)
 *     handlerThrew    `noticeThrown` of `session/calls/call.ts`, and of a detached task `durable/tasks/task-run.ts`
 *     clientSeen      `seenClients` of `eras/message-checks.ts`: clients without a session
 *     notificationDropped  `session/server/definition/shared-server.ts`, and transports whose session or request has ended
 *     listChanged     `noticeListChange` of `session/calls/call.ts`
 *     instanceJoined, leaseLapsed, leaseRemoved   `cluster/lease.ts`, `cluster/links.ts`
 *     storeUnavailable, storeBack         `endpoint/outage-log.ts`
 *     storeCall       `endpoint/watched-store.ts`
 *     drainBegun, drainEnded              `endpoint/shutdown.ts`
 *     requestRelayed  `cluster/relay/relay.ts`
 *     requestWaited   `eras/sessions/waiting.ts`
 *     callEnded       `session/calls/watched-run.ts`, where a listener wants it
 *     callLost        `session/life/repeated-calls.ts`, `durable/tasks/take-over.ts`
 *     task…           `tasks/`: `tasks.ts`, `take-over.ts`, `owned-task.ts`, `task-store.ts`
 *     onceAnswered    `durable/once/ledger.ts`
 *     eventDispatched, eventPosted, subscriptionChanged  `durable/events/`: `dispatcher.ts`, `subscription.ts`
 *     streamResumed   `eras/sessions/get.ts`
 *     session…        `session/registry.ts`: what happens to sessions
 *
 * Listeners are called in the turn of the notice. They must not throw. The option `observe` and `endpoint.notices`
 * are two of them (`observer.ts`), the log another (`log-lines.ts`).
 */
import type { EventEmitter } from 'node:events';
import type { Implementation } from '@modelcontextprotocol/server';
import type { EndReason, RestoreCause } from '../types.ts';
import { EntryList } from '../entry-list.ts';
import { KnownNames } from './known-names.ts';
import type { StepNotice } from './step-notices.ts';

/** How a call failed that was answered. */
export interface CallFailure {
  /** The code of a JSON-RPC error. */
  readonly error?: number;
  /** A tool answered with `isError`: it threw, refused its arguments, or says so itself. */
  readonly isError?: true;
  /** The reason that an error of this library gives, such as `owner_lost`. */
  readonly reason?: string;
}

/** A `POST`, `GET` or `DELETE` whose answer is complete or whose client has left. */
export interface RequestNotice {
  readonly kind: 'request';
  readonly http: string;
  /** The JSON-RPC method, where the body named one. Chosen by the client, at most 64 characters. */
  readonly method: string | undefined;
  /** The tool or prompt, likewise. */
  readonly target: string | undefined;
  /** 499: the client left before the head of its answer. */
  readonly status: number;
  /** How it was refused, also where the status is 200. */
  readonly refused: Refusal | undefined;
  /** The first failure among its answers. */
  readonly failure: CallFailure | undefined;
  /** A GET that continues a stream after its last event. */
  readonly resumed: boolean;
  /** The client left before its answer was complete. */
  readonly left: boolean;
  readonly ms: number;
  /** When its answer was complete, by `monotonic()`. */
  readonly endedAt: number;
  readonly sessionId: string | undefined;
  /** The name of its user, once it is known. */
  readonly userName?: string | undefined;
}

/** What a refusal says about itself. */
export interface Refusal {
  readonly status: number;
  /** One of a fixed set of words. */
  readonly reason: string;
  /** Names the option that allows it, where there is one. */
  readonly why: string;
  /** Whose share is used up: the name of a user, or an address. */
  readonly share?: string | undefined;
}

/** A request was refused, or answered with an error of this library, before your server got it. */
export interface RefusedNotice extends Refusal {
  readonly kind: 'requestRefused';
  /** The client sent it, perhaps without such a session. */
  readonly sessionId: string | undefined;
}

interface NotedRefusal extends RefusedNotice {
  /** What was refused. It must not be kept. */
  readonly exchange: RefusedExchange;
}

export interface HandlerThrewNotice {
  readonly kind: 'handlerThrew';
  readonly method: string;
  /** The name of a tool or prompt, or the URI of a resource. */
  readonly target: string | undefined;
  readonly sessionId: string | undefined;
  /** Its message may hold arguments and results. */
  readonly error: unknown;
}

/** What happened to a session on this instance, by its kind. */
interface SessionNotices {
  sessionOpened: { clientInfo: Implementation; protocolVersion: string };
  sessionRestored: {
    cause: RestoreCause;
    /** The instance that died. */
    from?: string;
    /** How its owner left. */
    after?: 'died' | 'released' | 'hibernated';
  };
  sessionHibernated: { reason: 'hibernated' };
  sessionReleased: { reason: 'released' | 'closed' };
  /** Another instance owns it. */
  sessionFenced: { reason: 'fenced' };
  sessionEnded: {
    reason: EndReason;
    /** ms since 1970. */
    createdAt?: number;
  };
}

interface OfSession {
  readonly sessionId: string;
  /** ms since 1970. */
  readonly at: number;
}

export type SessionNotice = {
  readonly [Name in keyof SessionNotices]: { readonly kind: Name } & OfSession &
    Readonly<SessionNotices[Name]>;
}[keyof SessionNotices];

type WithoutTime<N> = N extends unknown ? Omit<N, 'at'> : never;

/** A notice of a session before it has its time. */
export type SessionChange = WithoutTime<SessionNotice>;

/** What `endpoint.notices` and the option `observe` get: all that happens in an endpoint. */
export type Notice = RefusedNotice | SessionNotice | StepNotice;

/** Emits each notice under its kind. */
export type EndpointNotices = EventEmitter<{ [Each in Notice as Each['kind']]: [Each] }>;

/** What is emitted. Telling of handlers is for `onerror`, telling of requests for the access log. */
export type EmittedNotice =
  | Exclude<Notice, RefusedNotice>
  | NotedRefusal
  | RequestNotice
  | HandlerThrewNotice;

export interface RefusedExchange {
  /** Where it is watched, a `request` notice follows, which says the refusal too. */
  readonly watched?: object | undefined;
  readonly userKey?: string | undefined;
  readonly authority: string | undefined;
  header(name: string): string | undefined;
}

/** A run of a call that is watched. It is here until its handler has settled, which may be after its end. */
export interface RunningCall {
  /** In milliseconds of `monotonic()`. */
  readonly began: number;
  readonly userKey: string | undefined;
  readonly client: { readonly name: string; readonly version: string } | undefined;
  readonly sessionId: string | undefined;
  readonly method: string | undefined;
  /** The name of its tool or prompt. */
  readonly target: string | undefined;
  /** Its client has an answer, or left, and its handler runs on. */
  readonly isOver: boolean;
  /** Its handler runs at the instance that has its live object, which tells of it. */
  readonly isElsewhere: boolean;
}

export class Notices {
  readonly #listeners: Array<(notice: EmittedNotice) => void> = [];
  /** Those of them that want notices of requests: there is one for each request. */
  readonly #ofRequests: Array<(notice: EmittedNotice) => void> = [];
  /** The names of the server's tools, as listeners of requests learn them. */
  readonly tools = new KnownNames();
  /** The tools, prompts and methods whose large answers have a line in the log. */
  readonly largeAnswers = new KnownNames();
  /** A listener wants `callEnded`: each call is watched. */
  wantsCalls = false;
  /** The watched calls, oldest first. */
  readonly running = new EntryList<RunningCall>();
  #instance: string | undefined = undefined;

  listen(
    listener: (notice: EmittedNotice) => void,
    { requests = false, calls = false } = {},
  ): void {
    this.#listeners.push(listener);
    if (requests) this.#ofRequests.push(listener);
    if (calls) this.wantsCalls = true;
  }

  /** The id of this instance: `undefined` before its first lease. */
  get instance(): string | undefined {
    return this.#instance;
  }

  /** Whether a listener wants notices of requests now: each may come late. */
  get wantsRequests(): boolean {
    return this.#ofRequests.length > 0;
  }

  emit(notice: EmittedNotice): void {
    if (notice.kind === 'instanceJoined') this.#instance = notice.instance;
    for (const listener of notice.kind === 'request' ? this.#ofRequests : this.#listeners)
      listener(notice);
  }

  /** A server sent a notification after its session or request had ended. */
  dropped(method: string): void {
    this.emit({ kind: 'notificationDropped', sender: 'ended server', method });
  }
}
