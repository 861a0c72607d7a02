/**
 * What instances of one deployment send each other. Everything is plain JSON.
 *
 *     message    link: numbered items (`instance-link.ts`) · probe: its arrival · bus: an event of the bus ·
 *                unlinked: the sender cannot read the link messages of the receiver ·
 *                order: of the command line (`orders.ts`) ·
 *                notify: of the application, to the client of one session or of all ·
 *                room: a user has as many sessions as it may (`session/life/stored-shares.ts`) ·
 *                look: a task of the receiver was answered or ended (`durable/tasks/tasks.ts`), or a handle has ended
 *     item       relaying instance ─▶ owner   call · gone: the client disconnected · reply: to a question of the call
 *                owner ─▶ relaying instance   answer: values of the response, in order (`SentValue`)
 *                of the link itself           ping: asks for its acknowledgement · part: of a large item
 *
 * `instance.ts` passes each message, and `relay.ts` each item, to the part that it is for. A message of a kind that
 * this build does not know counts as lost on the way. The fields of a message are not checked: its signature says that
 * an instance of this deployment wrote it, and messages within one process are passed as they are.
 *
 * Instances of other builds may send fields and kinds that this build does not know, and may leave out fields that are
 * optional here. A change that an older build cannot read raises `LINK_VERSION`.
 */
import type { AuthInfo, RequestId, ServerEvent } from '@modelcontextprotocol/server';
import type { SojournError } from '../base/errors.ts';
import type { AttemptId, InboundKind, SentSession } from '../session/inbound/inbound.ts';
import type { OrderMessage } from './orders.ts';

/** The format of link messages and of the items in them. */
export const LINK_VERSION = 2;

export type RequestItem = {
  readonly t: 'call';
  /** The relaying instance's number for the call on this link. */
  readonly n: number;
  readonly call: InboundKind;
  /** Its earlier owner crashed, or the relaying instance stopped waiting for it. */
  readonly mayHaveRun: boolean;
  /** How often, with `mayHaveRun`; absent: once. */
  readonly runs?: number;
  readonly attemptId?: AttemptId;
  /** The stream that an attempt on another instance stored for it without running it. */
  readonly storedAs?: string;
  readonly method: string;
  readonly url: string;
  readonly absoluteUrl: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly auth?: AuthInfo;
  readonly user?: string;
  /** The address at the other end of its client's connection. */
  readonly address?: string;
  /** The last event that the client has. */
  readonly after?: string;
  /** The text of the body. */
  readonly text?: string;
  /** The session of a call whose live object is at the receiver. */
  readonly session?: SentSession;
};

/** A notification of the application. */
export type Notification = {
  readonly method: string;
  readonly params?: Readonly<Record<string, unknown>>;
};

export type NotifyMessage = Notification & {
  readonly kind: 'notify';
  /** `null`: all that are live where it arrives. */
  readonly session: string | null;
};

/** The receiver owns this record, and is to read it. */
export type LookMessage = {
  readonly kind: 'look';
  readonly of: 'tasks' | 'handles' | 'events';
  readonly id: string;
};

/** The receiver is to end an idle session that counts in this share, which is full. */
export type RoomMessage = { readonly kind: 'room'; readonly share: string };

/**
 * The sender was without its lease or mailbox: it wants the bus events of the last `ms` again, but not those of the
 * last `backMs`, which it has heard.
 */
export type MissedMessage = {
  readonly kind: 'missed';
  readonly ms: number;
  readonly backMs: number;
};

/** An error, as the instance of the client answers with it. */
export interface SentError extends Pick<
  SojournError,
  'code' | 'message' | 'status' | 'data' | 'retryable'
> {
  readonly headers: Readonly<Record<string, string>> | undefined;
  readonly body: string | undefined;
}

/**
 * A value of a response (`http/sink.ts`): a method of a sink, and its arguments. `begin` carries the name of a
 * policy, and the session id of the answer. `moved` is `handOver`. `true`: the owner does not finish the call, as after
 * a crash. `false`: the owner has not run the call and will not run it.
 */
export type SentValue =
  | readonly ['begin', policy: string, session: string | null]
  | readonly ['message', json: string, id?: string]
  | readonly ['point', id: string, retryMs: number, emptyData: boolean]
  | readonly [
      'refuse',
      error: SentError,
      id: RequestId | null,
      form: string,
      session: string | null,
    ]
  | readonly ['done', status: number, session: string | null]
  | readonly ['moved', mayHaveRun: boolean]
  | readonly ['end' | 'cut'];

/** A part of the answer to call `n`: what one turn brought. */
export type AnswerItem = {
  readonly t: 'answer';
  readonly n: number;
  readonly values: readonly SentValue[];
  /** The sender has the tool that the call names: its name may be shown. */
  readonly tool?: true;
};

/** The answer to a request that `message` values of call `n` carried to its session. */
export type ReplyItem = { readonly t: 'reply'; readonly n: number; readonly answer: unknown };

export type CallItem =
  | RequestItem
  | AnswerItem
  | ReplyItem
  | { readonly t: 'gone'; readonly n: number };

/** `text`: of the JSON of a `CallItem`, which `of` names on the link; `null`: the item was taken back. */
export type LinkItem =
  | CallItem
  | { readonly t: 'ping' }
  | {
      readonly t: 'part';
      readonly of: number;
      readonly text: string | null;
      readonly isLast: boolean;
    };

export type LinkMessage = {
  readonly kind: 'link';
  readonly v: number;
  /** The id that the message is for. A message for an earlier id of this instance is dropped. */
  readonly to: string;
  /** The number of the first item, or of the next item when the message has none. */
  readonly first: number;
  readonly items: readonly LinkItem[];
  /** The number of the item that is expected next. */
  readonly ack: number;
  /** An acknowledgement is wanted now. */
  readonly ask?: true;
  /** An item before those that came is missing: the peer expects all from the number `ack` on. */
  readonly gap?: true;
};

export type ClusterMessage =
  | LinkMessage
  | { readonly kind: 'unlinked' }
  | { readonly kind: 'probe' }
  | OrderMessage
  | NotifyMessage
  | LookMessage
  | RoomMessage
  | MissedMessage
  | { readonly kind: 'bus'; readonly event: ServerEvent };
