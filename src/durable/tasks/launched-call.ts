/** The request by which an instance calls a tool itself, as a client with tasks. */
import {
  CLIENT_CAPABILITIES_META_KEY,
  CLIENT_INFO_META_KEY,
  PROTOCOL_VERSION_META_KEY,
} from '@modelcontextprotocol/server';
import { invalidRequest } from '../../base/errors.ts';
import { encoded } from '../../http/mcp-headers.ts';
import { isObject, type RpcRequest } from '../../base/protocol/jsonrpc.ts';
import { MODERN_VERSION } from '../../base/protocol/versions.ts';
import type { Call } from '../../session/calls/call.ts';
import { CallRefusal } from '../../base/errors/answer-error.ts';
import type { AwaitedRequest } from '../../session/streams/event-log.ts';
import type { McpSession } from '../../base/types.ts';
import type { RunRequest } from './run-sink.ts';
import { declaredIn, TASKS_EXTENSION } from './wire-shapes.ts';

const ID = 'sojourn.task';

/** The call of the client, as a client with tasks would send it. */
export function launchedRequest({ caller, sent, target = '', session }: Call): RunRequest {
  if (caller === undefined || sent === undefined)
    throw new CallRefusal(invalidRequest('only a call that a client sent becomes a task'));
  const { request, userKey: user, clientAddress: address, authInfo } = caller;
  const { pathname, search, href } = new URL(request.url);
  const headers = {
    ...Object.fromEntries(request.headers),
    'mcp-protocol-version': MODERN_VERSION,
    'mcp-method': 'tools/call',
    'mcp-name': encoded(target),
  };
  return {
    fields: {
      method: 'POST',
      url: `${pathname}${search}`,
      absoluteUrl: href,
      headers,
      user,
      address,
    },
    authInfo,
    request: toolCall(target, sent, session),
    version: MODERN_VERSION,
    launched: { session: session?.id },
  };
}

function toolCall(
  name: string,
  { params = {} }: AwaitedRequest,
  session: McpSession | undefined,
): RpcRequest {
  const { progressToken: _, ...meta } = isObject(params['_meta']) ? params['_meta'] : {};
  const declared: Readonly<Record<string, unknown>> =
    session?.clientCapabilities ?? declaredIn({ params });
  const extensions = isObject(declared['extensions']) ? declared['extensions'] : {};
  const _meta = {
    ...meta,
    [PROTOCOL_VERSION_META_KEY]: MODERN_VERSION,
    [CLIENT_INFO_META_KEY]: session?.clientInfo ?? meta[CLIENT_INFO_META_KEY],
    [CLIENT_CAPABILITIES_META_KEY]: {
      ...declared,
      extensions: { ...extensions, [TASKS_EXTENSION]: {} },
    },
  };
  return {
    jsonrpc: '2.0',
    id: ID,
    method: 'tools/call',
    params: { name, arguments: params['arguments'], _meta },
  };
}
