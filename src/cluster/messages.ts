/**
 * What instances of one deployment send each other, and its only reader. Everything is plain JSON.
 *
 *     message    link: numbered items (`instance-link.ts`) · probe: its arrival · bus: an event of the bus ·
 *                unlinked: the sender cannot read the link messages of the receiver ·
 *                order: of the command line (`orders.ts`) ·
 *                notify: of the application, to the client of one session or of all ·
 *                look: a task of the receiver was answered or ended (`tasks/tasks.ts`) ·
 *                dashboard: what the dashboards of two instances say to each other (`dashboard/server/peers.ts`)
 *     item       of a relayed call:
 *                relaying instance ─▶ owner   call · gone: the client disconnected
 *                owner ─▶ relaying instance   answer: values of the response, in order (`SentValue`)
 *                of an id: formerly, an earlier id of the sender, which is dead
 *
 * `instance.ts` reads each message here, and passes each item to the part that it is for. A message that cannot be
 * read counts as lost on the way. An item that cannot be read is *faulty*: its number, if it has one, says which call
 * to end.
 *
 * Instances of other builds may send fields and kinds that this build does not know, and may leave out fields that are
 * optional here. A change that an older build cannot read raises `LINK_VERSION`.
 */
import type { AuthInfo, RequestId, ServerEvent } from '@modelcontextprotocol/server';
import type { InboundKind } from '../inbound/inbound.ts';
import { isObject } from '../protocol/jsonrpc.ts';
import type { OrderMessage } from './orders.ts';

/** The format of link messages and of the items in them. */
export const LINK_VERSION = 1;

const CALL_KINDS: ReadonlySet<unknown> = new Set<InboundKind>([
  'post',
  'get',
  'delete',
  'resume',
  'answer',
  'terminate',
]);

export type RequestItem = {
  readonly t: 'call';
  /** The relaying instance's number for the call on this link. */
  readonly n: number;
  readonly call: InboundKind;
  /** Its earlier owner crashed, or the relaying instance stopped waiting for it. */
  readonly mayHaveRun: boolean;
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
export type LookMessage = { readonly kind: 'look'; readonly of: 'tasks'; readonly id: string };

/** An error, as the instance of the client answers with it. */
export interface SentError {
  readonly code: string;
  readonly message: string;
  readonly status: number;
  readonly rpc: number;
  readonly data?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
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
  | readonly ['refuse', error: SentError, id: RequestId | null, form: string, session: string | null]
  | readonly ['done', status: number, session: string | null]
  | readonly ['moved', mayHaveRun: boolean]
  | readonly ['end' | 'cut'];

/** A part of the answer to call `n`: what one turn brought. */
export type AnswerItem = { readonly t: 'answer'; readonly n: number; readonly values: readonly SentValue[] };

export type LinkItem =
  | RequestItem
  | AnswerItem
  | { readonly t: 'gone'; readonly n: number }
  | { readonly t: 'formerly'; readonly id: string };

/** An item that this build cannot read. `of`: its `t`. `n`: the number of its call. */
export type FaultyItem = { readonly t: 'faulty'; readonly of: unknown; readonly n: number | undefined };

export type ReceivedItem = LinkItem | FaultyItem;

export type LinkMessage<Item = LinkItem> = {
  readonly kind: 'link';
  readonly v: number;
  /** The id that the message is for. A message for an earlier id of this instance is dropped. */
  readonly to: string;
  /** The number of the first item, or of the next item when the message has none. */
  readonly first: number;
  readonly items: readonly Item[];
  /** The number of the item that is expected next. */
  readonly ack: number;
  /** Asks for an acknowledgement; the number identifies this probe. */
  readonly probe?: number;
  /** Answers the probe with this number. */
  readonly re?: number;
};

export type ClusterMessage =
  | LinkMessage
  | { readonly kind: 'unlinked' }
  | { readonly kind: 'probe' }
  | OrderMessage
  | NotifyMessage
  | LookMessage
  | { readonly kind: 'dashboard'; readonly said: Readonly<Record<string, unknown>> }
  | { readonly kind: 'bus'; readonly event: ServerEvent };

export type ReceivedMessage =
  | Exclude<ClusterMessage, LinkMessage>
  | LinkMessage<ReceivedItem>
  /** A link message of another version, so nothing more of it can be read. */
  | { readonly kind: 'otherVersion'; readonly v: unknown; readonly to: unknown };

/** `undefined`: this build cannot read the message. */
export function readMessage(message: unknown): ReceivedMessage | undefined {
  if (!isObject(message)) return undefined;
  const { kind } = message;
  switch (kind) {
    case 'link':
      return readLinkMessage(message);
    case 'unlinked':
    case 'probe':
      return { kind };
    case 'order':
      return isOrder(message) ? (message as OrderMessage) : undefined;
    case 'notify':
      return isNotify(message) ? (message as unknown as NotifyMessage) : undefined;
    case 'look':
      return message['of'] === 'tasks' && isText(message['id']) ? (message as LookMessage) : undefined;
    case 'dashboard':
      return isObject(message['said']) ? { kind, said: message['said'] } : undefined;
    case 'bus':
      return isServerEvent(message['event']) ? { kind, event: message['event'] } : undefined;
    default:
      return undefined;
  }
}

function readLinkMessage(message: Fields): ReceivedMessage | undefined {
  const { v, to, first, ack, items, probe, re } = message;
  if (v !== LINK_VERSION) return { kind: 'otherVersion', v, to };
  if (typeof to !== 'string' || !isNumber(first) || !isNumber(ack) || !Array.isArray(items)) return undefined;
  return {
    kind: 'link',
    v: LINK_VERSION,
    to,
    first,
    items: items.map(readItem),
    ack,
    ...(isNumber(probe) && { probe }),
    ...(isNumber(re) && { re }),
  };
}

type Fields = Readonly<Record<string, unknown>>;

function readItem(item: unknown): ReceivedItem {
  const fields: Fields = isObject(item) ? item : {};
  const { t, n } = fields;
  if (checkFor(ITEMS, t)?.(fields) === true) return item as LinkItem;
  return { t: 'faulty', of: t, n: isNumber(n) ? n : undefined };
}

function isOrder(message: Fields): boolean {
  return checkFor(ORDERS, message['run'])?.(message) === true;
}

function isServerEvent(event: unknown): event is ServerEvent {
  return isObject(event) && checkFor(EVENTS, event['kind'])?.(event) === true;
}

type Check = (value: unknown) => boolean;

/** `undefined`: this build does not know that kind. */
function checkFor(table: Readonly<Record<string, Check>>, kind: unknown): Check | undefined {
  return typeof kind === 'string' && Object.hasOwn(table, kind) ? table[kind] : undefined;
}

function fields(checks: Readonly<Record<string, Check>>): Check {
  const all = Object.entries(checks);
  return (value) => isObject(value) && all.every(([name, check]) => check(value[name]));
}

const optional =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);

const list =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);

const record =
  (check: Check): Check =>
  (value) =>
    isObject(value) && Object.values(value).every(check);

/** The kind of a value, then its arguments. */
const after =
  (...checks: readonly Check[]): Check =>
  (value) =>
    checks.every((check, n) => check((value as readonly unknown[])[n + 1]));

/** A number or count of this protocol. */
const isNumber = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isText: Check = (value) => typeof value === 'string';
const isFlag: Check = (value) => typeof value === 'boolean';
const isSession: Check = (value) => value === null || isText(value);
const isId: Check = (value) => isSession(value) || typeof value === 'number';
const isStatus: Check = (value) => isNumber(value) && value >= 100 && value <= 999;
/** A line break would end the field of an event. */
const isLine: Check = (value) => typeof value === 'string' && !value.includes('\n') && !value.includes('\r');
const isTexts = list(isText);
const isFieldValue: Check = (value) => value === undefined || isText(value) || isTexts(value);
/** JSON turns the URL of `resource` into a string. */
const isResource: Check = (value) => (typeof value === 'string' ? URL.canParse(value) : value instanceof URL);
const isError = fields({
  code: isText,
  message: isText,
  status: isStatus,
  rpc: Number.isSafeInteger,
  data: optional(isObject),
  headers: optional(record(isText)),
  body: optional(isText),
});

const VALUES: Readonly<Record<SentValue[0], Check>> = {
  begin: after(isText, isSession),
  message: after(isLine, optional(isLine)),
  point: after(isLine, isNumber, isFlag),
  refuse: after(isError, isId, isText, isSession),
  done: after(isStatus, isSession),
  moved: after(isFlag),
  end: after(),
  cut: after(),
};
const isValue: Check = (value) => Array.isArray(value) && checkFor(VALUES, value[0])?.(value) === true;

const ITEMS: Readonly<Record<LinkItem['t'], Check>> = {
  call: fields({
    n: isNumber,
    call: (kind) => CALL_KINDS.has(kind),
    mayHaveRun: isFlag,
    method: isText,
    url: isText,
    absoluteUrl: isText,
    headers: record(isFieldValue),
    auth: optional(fields({ resource: optional(isResource) })),
    user: optional(isText),
    address: optional(isText),
    after: optional(isText),
    text: optional(isText),
  }),
  answer: fields({ n: isNumber, values: list(isValue) }),
  gone: fields({ n: isNumber }),
  formerly: fields({ id: isText }),
};

const ORDER = { to: isText, stamp: isText, nonce: isText, by: isText };
const ORDERS: Readonly<Record<OrderMessage['run'], Check>> = {
  drain: fields(ORDER),
  end: fields({ ...ORDER, session: isText }),
};

const isNotify = fields({ session: isSession, method: isText, params: optional(isObject) });

const LIST_EVENT = fields({ params: optional(isObject) });
const EVENTS: Readonly<Record<ServerEvent['kind'], Check>> = {
  tools_list_changed: LIST_EVENT,
  prompts_list_changed: LIST_EVENT,
  resources_list_changed: LIST_EVENT,
  resource_updated: fields({ uri: isText, params: optional(isObject) }),
};
