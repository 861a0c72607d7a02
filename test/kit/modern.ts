/**
 * Requests of 2026-07-28 as clients write them: the envelope in `params._meta`, and the headers that mirror the body.
 */
import {
  CLIENT_CAPABILITIES_META_KEY,
  CLIENT_INFO_META_KEY,
  type ClientCapabilities,
  PROTOCOL_VERSION_META_KEY,
} from '@modelcontextprotocol/server';
import type { JsonRpcAnswer, RawClient, RawHeaders, RawRequestOptions } from './raw-client.ts';
import type { RawResponse } from './raw-response.ts';

export const MODERN = '2026-07-28';

export interface ModernRequest extends RawRequestOptions {
  /** Capabilities in the envelope; default: none. */
  capabilities?: ClientCapabilities;
  /** Added to the envelope; `undefined` omits a key. */
  meta?: Record<string, unknown>;
}

type Params = Readonly<Record<string, unknown>>;

export function envelope(
  capabilities: ClientCapabilities = {},
  meta: Record<string, unknown> = {},
): Record<string, unknown> {
  return {
    [PROTOCOL_VERSION_META_KEY]: MODERN,
    [CLIENT_INFO_META_KEY]: { name: 'modern-client', version: '0.0.0' },
    [CLIENT_CAPABILITIES_META_KEY]: capabilities,
    ...meta,
  };
}

/** Which parameter `Mcp-Name` mirrors. */
const NAMES: Readonly<Record<string, string>> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
  'tasks/get': 'taskId',
  'tasks/update': 'taskId',
  'tasks/cancel': 'taskId',
};

/** The three headers of a request; `mcp-name` only where its method has one. */
export function mirrored(method: string, params: Params = {}): RawHeaders {
  const name = params[NAMES[method] ?? ''];
  const named = typeof name === 'string';
  return {
    'mcp-protocol-version': MODERN,
    'mcp-method': method,
    ...(named && { 'mcp-name': name }),
  };
}

/** Posts a request with a fresh id, and waits for its answer. */
export function callModern(
  client: RawClient,
  method: string,
  params: Params = {},
  { capabilities, meta, headers, ...options }: ModernRequest = {},
): Promise<{
  readonly id: number;
  readonly response: RawResponse;
  readonly message: JsonRpcAnswer;
}> {
  return client.call(
    method,
    { ...params, _meta: envelope(capabilities, meta) },
    { ...options, headers: { ...mirrored(method, params), ...headers } },
  );
}

/** The same, but resolves with the response at its head: for requests that stream or never end. */
export function postModern(
  client: RawClient,
  method: string,
  params: Params = {},
  { capabilities, meta, headers, ...options }: ModernRequest = {},
): Promise<RawResponse> {
  const body = {
    jsonrpc: '2.0',
    id: client.nextId(),
    method,
    params: { ...params, _meta: envelope(capabilities, meta) },
  };
  return client.post(body, { ...options, headers: { ...mirrored(method, params), ...headers } });
}
