/**
 * Checks the shape of JSON-RPC messages before they are dispatched, as strictly as the SDK's own schemas. The SDK gives
 * no answer to a message that its schemas refuse, so the POST would hang. An id above 2^53 would come back changed.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { quoted } from '../shown.ts';
import { callsTool, methodOf, roleOf } from './methods.ts';

/** The SDK's constant of this name. The command line imports this file, and most commands load no SDK. */
export const PROTOCOL_VERSION_META_KEY = 'io.modelcontextprotocol/protocolVersion';

/** The levels of log messages, from the least severe on. */
export const LOG_LEVELS = [
  'debug',
  'info',
  'notice',
  'warning',
  'error',
  'critical',
  'alert',
  'emergency',
];

export interface RpcRequest {
  readonly jsonrpc: '2.0';
  readonly id: RequestId;
  readonly method: string;
  readonly params?: Readonly<Record<string, unknown>>;
}

export interface RpcNotification {
  readonly jsonrpc: '2.0';
  readonly method: string;
  readonly params?: Readonly<Record<string, unknown>>;
}

export interface RpcResponse {
  readonly jsonrpc: '2.0';
  readonly id?: RequestId;
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: { readonly code: number; readonly message: string; readonly data?: unknown };
}

export type RpcMessage = RpcRequest | RpcNotification | RpcResponse;

export type Checked =
  | { readonly kind: 'request'; readonly message: RpcRequest }
  | { readonly kind: 'notification'; readonly message: RpcNotification }
  | { readonly kind: 'response'; readonly message: RpcResponse }
  | { readonly kind: 'invalid'; readonly why: string };

/** The name of the tool of a `tools/call`. */
export function toolOf({
  method,
  params,
}: Pick<RpcRequest, 'method' | 'params'>): string | undefined {
  const name = callsTool(method) ? params?.['name'] : undefined;
  return typeof name === 'string' ? name : undefined;
}

/** What a request names in its params. A client may add a `name` to a request about a resource. */
export function targetOf({
  method,
  params,
}: Pick<RpcRequest, 'method' | 'params'>): string | undefined {
  const { names } = methodOf(method);
  const target = names === undefined || names.isInRef === true ? undefined : params?.[names.member];
  return typeof target === 'string' ? target : undefined;
}

/** The `notifications/cancelled` that aborts the handler of a request. */
export function cancelledMessage(
  requestId: RequestId | undefined,
  reason: string,
): RpcNotification {
  return { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId, reason } };
}

/** The protocol version in a message's envelope, of any type; `undefined`: no envelope. */
export function claimedVersion(checked: Checked | undefined): unknown {
  if (checked?.kind !== 'request' && checked?.kind !== 'notification') return undefined;
  const meta = checked.message.params?.['_meta'];
  return isObject(meta) ? meta[PROTOCOL_VERSION_META_KEY] : undefined;
}

/** The version that an `initialize` requests. */
export function handshakeVersion(checked: Checked): string | undefined {
  if (checked.kind !== 'request' || roleOf(checked.message.method) !== 'handshake')
    return undefined;
  const requested = checked.message.params?.['protocolVersion'];
  return typeof requested === 'string' ? requested : undefined;
}

type Bag = Record<string, unknown>;

export function isObject(value: unknown): value is Bag {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isId(value: unknown): value is RequestId {
  return typeof value === 'string' || Number.isSafeInteger(value);
}

const invalid = (why: string): Checked => ({ kind: 'invalid', why });

const RELATED_TASK = 'io.modelcontextprotocol/related-task';
/** Characters of a text that each message of a server about its request, or on its stream, repeats. */
const REPEATED_LENGTH = 1_024;

const isRepeatable = (text: unknown): boolean =>
  typeof text !== 'string' || text.length <= REPEATED_LENGTH;

function paramsFault(params: unknown): string | undefined {
  if (params === undefined) return undefined;
  if (!isObject(params)) return 'params must be an object';
  const meta = params['_meta'];
  if (meta === undefined) return undefined;
  if (!isObject(meta)) return 'params._meta must be an object';
  const token = meta['progressToken'];
  if (token !== undefined && !isId(token))
    return 'params._meta.progressToken must be a string or an integer';
  if (!isRepeatable(token))
    return `params._meta.progressToken may have ${REPEATED_LENGTH} characters`;
  const task = meta[RELATED_TASK];
  if (task !== undefined && !(isObject(task) && typeof task['taskId'] === 'string')) {
    return `params._meta["${RELATED_TASK}"] must be an object with a taskId`;
  }
  if (!isRepeatable(task?.taskId))
    return `params._meta["${RELATED_TASK}"].taskId may have ${REPEATED_LENGTH} characters`;
  return undefined;
}

function unknownKey(message: Bag, known: readonly string[]): string | undefined {
  for (const key in message) if (!known.includes(key)) return key;
  return undefined;
}

/**
 * The limit of one URI. Servers find a resource by `new URL(uri)`, whose time grows with the square of a host that is
 * not ASCII: 8 KiB take 10 ms, a million characters minutes.
 */
const URI_BYTES = 8_192;

function uriFault(method: string, params: unknown): string | undefined {
  const isTooLong = (uri: unknown): boolean =>
    typeof uri === 'string' && Buffer.byteLength(uri) > URI_BYTES;
  return isObject(params) && urisOf(method, params).some(isTooLong)
    ? `the URI of a resource may have ${URI_BYTES} bytes`
    : undefined;
}

const NONE: readonly unknown[] = [];

function urisOf(method: string, { uri, ref, notifications }: Bag): readonly unknown[] {
  const { names, role } = methodOf(method);
  if (names?.isInRef === true) return isObject(ref) ? [ref['uri']] : [];
  if (names?.member === 'uri') return [uri];
  if (role !== 'listen') return NONE;
  const uris = isObject(notifications) ? notifications['resourceSubscriptions'] : undefined;
  return Array.isArray(uris) ? (uris as unknown[]) : [];
}

const CALL_KEYS = ['jsonrpc', 'id', 'method', 'params'];
const RESULT_KEYS = ['jsonrpc', 'id', 'result'];
const ERROR_KEYS = ['jsonrpc', 'id', 'error'];

export function checkMessage(value: unknown): Checked {
  if (!isObject(value)) return invalid('a message must be an object');
  if (value['jsonrpc'] !== '2.0') return invalid('jsonrpc must be "2.0"');
  if ('method' in value) return checkCall(value);
  if ('result' in value || 'error' in value) return checkResponse(value);
  return invalid('a message needs a method, a result or an error');
}

function checkCall(value: Bag): Checked {
  if (typeof value['method'] !== 'string') return invalid('method must be a string');
  const extra = unknownKey(value, CALL_KEYS);
  if (extra !== undefined) return invalid(`unknown member ${quoted(extra)}`);
  const { method, params } = value as { method: string; params: unknown };
  if (roleOf(method) === 'listen' && !isRepeatable(value['id']))
    return invalid(`the id of ${method} may have ${REPEATED_LENGTH} characters`);
  const fault = paramsFault(params) ?? uriFault(method, params);
  if (fault !== undefined) return invalid(fault);
  if (!('id' in value))
    return { kind: 'notification', message: value as unknown as RpcNotification };
  if (!isId(value['id'])) return invalid('id must be a string or an integer of at most 2^53 - 1');
  return { kind: 'request', message: value as unknown as RpcRequest };
}

function checkResponse(value: Bag): Checked {
  const isResult = 'result' in value;
  const extra = unknownKey(value, isResult ? RESULT_KEYS : ERROR_KEYS);
  if (extra !== undefined) return invalid(`unknown member ${quoted(extra)}`);
  if (isResult) {
    if (!isId(value['id'])) return invalid('id must be a string or an integer of at most 2^53 - 1');
    const result = value['result'];
    if (!isObject(result)) return invalid('result must be an object');
    if (result['_meta'] !== undefined && !isObject(result['_meta']))
      return invalid('result._meta must be an object');
    return { kind: 'response', message: value as unknown as RpcResponse };
  }
  if (value['id'] !== undefined && !isId(value['id']))
    return invalid('id must be a string or an integer');
  const error = value['error'];
  if (
    !isObject(error) ||
    !Number.isSafeInteger(error['code']) ||
    typeof error['message'] !== 'string'
  ) {
    return invalid('error must be an object with an integer code and a message');
  }
  return { kind: 'response', message: value as unknown as RpcResponse };
}

/** The id for an error about `value`: the id of a request if it can be read, else `null`. */
export function echoId(value: unknown): RequestId | null {
  if (!isObject(value) || typeof value['method'] !== 'string') return null;
  const id = value['id'];
  return isId(id) ? id : null;
}
