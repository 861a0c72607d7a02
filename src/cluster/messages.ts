/**
 * What instances of one deployment send each other, and its only reader. Everything is plain JSON.
 *
 *     message    link: numbered items (`link.ts`) · probe: nothing more than its arrival · bus: an event of the bus ·
 *                unlinked: the sender cannot read the link messages of the receiver
 *     item       of a relayed call:
 *                relaying instance ─▶ owner   call · gone: the client disconnected
 *                owner ─▶ relaying instance   answer: values of the response, in order (`SentValue`)
 *                of an end: terminate, and its answer terminated
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
import type { CallKind } from '../call/call.ts';
import { isObject } from '../protocol/jsonrpc.ts';

/** The format of link messages and of the items in them. */
export const LINK_VERSION = 1;

const CALL_KINDS: ReadonlySet<unknown> = new Set<CallKind>(['post', 'get', 'delete', 'resume', 'answer']);

export type CallItem = {
  readonly t: 'call';
  /** The relaying instance's number for the call on this link. */
  readonly n: number;
  readonly call: CallKind;
  /** Its earlier owner crashed, or the relaying instance stopped waiting for it. */
  readonly mayHaveRun: boolean;
  readonly method: string;
  readonly url: string;
  readonly absoluteUrl: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly auth?: AuthInfo;
  readonly user?: string;
  /** The last event that the client has. */
  readonly after?: string;
  /** The text of the body. */
  readonly text?: string;
};

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
 * A value of a response (`http/reader.ts`): a method of a reader, and its arguments. `begin` carries the name of a
 * policy, and the session id of the answer. `moved`, `true`: the owner does not finish the call, as after a crash.
 * `false`: the owner has not run the call and will not run it.
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
  | CallItem
  | AnswerItem
  | { readonly t: 'gone'; readonly n: number }
  | { readonly t: 'terminate'; readonly ask: number; readonly sessionId: string }
  | { readonly t: 'terminated'; readonly ask: number; readonly done: boolean }
  | { readonly t: 'formerly'; readonly id: string };

/** An item that this build cannot read. `of`: its `t`. `number`: its `n` or `ask`. */
export type FaultyItem = { readonly t: 'faulty'; readonly of: unknown; readonly number: number | undefined };

export type InboundItem = LinkItem | FaultyItem;

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

export type InstanceMessage =
  | LinkMessage
  | { readonly kind: 'unlinked' }
  | { readonly kind: 'probe' }
  | { readonly kind: 'bus'; readonly event: ServerEvent };

export type InboundMessage =
  | Exclude<InstanceMessage, LinkMessage>
  | LinkMessage<InboundItem>
  /** A link message of another version, so nothing more of it can be read. */
  | { readonly kind: 'otherVersion'; readonly v: unknown; readonly to: unknown };

/** `undefined`: this build cannot read the message. */
export function readMessage(message: unknown): InboundMessage | undefined {
  if (!isObject(message)) return undefined;
  const { kind } = message;
  switch (kind) {
    case 'link':
      return readLinkMessage(message);
    case 'unlinked':
    case 'probe':
      return { kind };
    case 'bus':
      return isServerEvent(message['event']) ? { kind, event: message['event'] } : undefined;
    default:
      return undefined;
  }
}

function readLinkMessage(message: Fields): InboundMessage | undefined {
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

function readItem(item: unknown): InboundItem {
  if (isObject(item) && isItem(item)) return item as LinkItem;
  const { t, n, ask }: Fields = isObject(item) ? item : {};
  const number = isNumber(n) ? n : ask;
  return { t: 'faulty', of: t, number: isNumber(number) ? number : undefined };
}

function isItem(item: Fields): boolean {
  const { t } = item;
  switch (t as LinkItem['t']) {
    case 'call':
      return isCall(item);
    case 'answer':
      return isNumber(item['n']) && Array.isArray(item['values']) && item['values'].every(isValue);
    case 'gone':
      return isNumber(item['n']);
    case 'terminate':
      return isNumber(item['ask']) && typeof item['sessionId'] === 'string';
    case 'terminated':
      return isNumber(item['ask']) && typeof item['done'] === 'boolean';
    case 'formerly':
      return typeof item['id'] === 'string';
    default:
      return false;
  }
}

function isCall({ n, call, mayHaveRun, method, url, absoluteUrl, headers, auth, user, after, text }: Fields): boolean {
  return (
    isNumber(n) &&
    CALL_KINDS.has(call) &&
    typeof mayHaveRun === 'boolean' &&
    typeof method === 'string' &&
    typeof url === 'string' &&
    typeof absoluteUrl === 'string' &&
    isObject(headers) &&
    Object.values(headers).every(isFieldValue) &&
    (auth === undefined || isAuth(auth)) &&
    isText(user) &&
    isText(after) &&
    isText(text)
  );
}

function isValue(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  const [kind, first, second, third, fourth] = value as readonly unknown[];
  switch (kind as SentValue[0]) {
    case 'begin':
      return typeof first === 'string' && isSession(second);
    case 'message':
      return isLine(first) && (second === undefined || isLine(second));
    case 'point':
      return isLine(first) && isNumber(second) && typeof third === 'boolean';
    case 'refuse':
      return isError(first) && isId(second) && typeof third === 'string' && isSession(fourth);
    case 'done':
      return isStatus(first) && isSession(second);
    case 'moved':
      return typeof first === 'boolean';
    case 'end':
    case 'cut':
      return true;
    default:
      return false;
  }
}

/** A line break would end the field of an event. */
function isLine(value: unknown): boolean {
  return typeof value === 'string' && !value.includes('\n') && !value.includes('\r');
}

function isSession(value: unknown): boolean {
  return value === null || typeof value === 'string';
}

function isId(value: unknown): boolean {
  return isSession(value) || typeof value === 'number';
}

function isError(error: unknown): boolean {
  if (!isObject(error)) return false;
  const { code, message, status, rpc, data, headers, body } = error;
  return (
    typeof code === 'string' &&
    typeof message === 'string' &&
    isStatus(status) &&
    Number.isSafeInteger(rpc) &&
    (data === undefined || isObject(data)) &&
    (headers === undefined ||
      (isObject(headers) && Object.values(headers).every((value) => typeof value === 'string'))) &&
    isText(body)
  );
}

function isFieldValue(value: unknown): boolean {
  return isText(value) || (Array.isArray(value) && value.every((one) => typeof one === 'string'));
}

/** JSON turns the URL of `resource` into a string. */
function isAuth(auth: unknown): boolean {
  if (!isObject(auth)) return false;
  const { resource } = auth;
  return typeof resource === 'string' ? URL.canParse(resource) : resource === undefined || resource instanceof URL;
}

function isStatus(status: unknown): boolean {
  return isNumber(status) && status >= 100 && status <= 999;
}

/** An optional text. */
function isText(value: unknown): boolean {
  return value === undefined || typeof value === 'string';
}

/** A number or count of this protocol. */
function isNumber(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isServerEvent(event: unknown): event is ServerEvent {
  if (!isObject(event)) return false;
  const { kind, uri, params } = event as Partial<Extract<ServerEvent, { kind: 'resource_updated' }>>;
  if (params !== undefined && !isObject(params)) return false;
  switch (kind as ServerEvent['kind'] | undefined) {
    case 'tools_list_changed':
    case 'prompts_list_changed':
    case 'resources_list_changed':
      return true;
    case 'resource_updated':
      return typeof uri === 'string';
    default:
      return false;
  }
}
