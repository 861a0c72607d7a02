/** A client of each era that asks an endpoint of this process for its lists, for `sojourn check`. */
import { randomUUID } from 'node:crypto';
import {
  CLIENT_CAPABILITIES_META_KEY,
  CLIENT_INFO_META_KEY,
  PROTOCOL_VERSION_META_KEY,
} from '@modelcontextprotocol/server';
import { orUndefined } from '../base/or-undefined.ts';
import type { McpEndpoint } from '../endpoint/mcp-endpoint.ts';
import { isObject } from '../protocol/jsonrpc.ts';

/** A server that connects to something when a client comes takes a while. */
const ANSWER_MS = 30_000;
/** A list without an end must not keep the command. */
const MOST_PAGES = 100;

const [LEGACY, MODERN] = ['2025-11-25', '2026-07-28'];
const CLIENT = { name: 'sojourn check', version: '1' };
const META = {
  [PROTOCOL_VERSION_META_KEY]: MODERN,
  [CLIENT_INFO_META_KEY]: CLIENT,
  [CLIENT_CAPABILITIES_META_KEY]: {},
};

/** The headers of a session. */
export type Session = Record<string, string>;

type Result = Readonly<Record<string, unknown>>;
type Ask = (method: string, params?: object) => Promise<Result>;

export interface Finding {
  /** Name and version. */
  readonly server: string;
  readonly version: string;
  /** The names of the items. A list for which the server has no capability is missing. */
  readonly lists: Readonly<Record<string, readonly string[]>>;
}

const LISTS = [
  ['tools', 'tools', 'tools/list', 'name'],
  ['prompts', 'prompts', 'prompts/list', 'name'],
  ['resources', 'resources', 'resources/list', 'uri'],
  ['resourceTemplates', 'resources', 'resources/templates/list', 'uriTemplate'],
] as const;

/** Connects, unless it has found something `before`, and asks for every list. Rejects with what went wrong. */
export async function findingOf(ask: Ask, isModern: boolean, before?: Finding): Promise<Finding> {
  const lists: Record<string, readonly string[]> = {};
  if (before !== undefined) {
    for (const [list, , method, key] of LISTS)
      if (before.lists[list] !== undefined) lists[list] = await allOf(ask, method, list, key);
    return { ...before, lists };
  }
  const opened = isModern
    ? await ask('server/discover')
    : await ask('initialize', { protocolVersion: LEGACY, capabilities: {}, clientInfo: CLIENT });
  if (!isModern) await ask('notifications/initialized');
  const { capabilities, protocolVersion = MODERN, _meta: meta } = opened;
  for (const [list, capability, method, key] of LISTS)
    if (isObject(capabilities) && capabilities[capability] !== undefined)
      lists[list] = await allOf(ask, method, list, key);
  const info = opened['serverInfo'] ?? (isObject(meta) ? meta['io.modelcontextprotocol/serverInfo'] : undefined);
  const { name, version } = isObject(info) ? info : {};
  return { server: `${String(name)} ${String(version)}`, version: String(protocolVersion), lists };
}

async function allOf(ask: Ask, method: string, list: string, key: string): Promise<string[]> {
  const names: string[] = [];
  let cursor: unknown;
  for (let pages = 0; pages < MOST_PAGES; pages++) {
    const { [list]: items, nextCursor } = await ask(method, cursor === undefined ? {} : { cursor });
    if (!Array.isArray(items)) throw new Error(`${method} was answered without ${list}`);
    names.push(...items.map((item: unknown) => String(isObject(item) ? item[key] : item)));
    cursor = nextCursor;
    if (typeof cursor !== 'string') return names;
  }
  throw new Error(`${method} has more than ${MOST_PAGES} pages`);
}

/** `session`: of a 2025 client. It gets the headers that the server answers with. */
export const clientOf =
  ({ fetch }: McpEndpoint, session?: Session): Ask =>
  async (method, params = {}) => {
    const id = method.startsWith('notifications/') ? undefined : randomUUID();
    const all = session === undefined ? { ...params, _meta: META } : params;
    const modern = { 'mcp-method': method, 'mcp-protocol-version': MODERN ?? '' };
    const request = new Request('http://localhost/mcp', {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        ...(session ?? modern),
      },
      body: JSON.stringify({ jsonrpc: '2.0', id, method, params: all }),
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    const response = await fetch(request);
    const { status, headers } = response;
    const text = await response.text();
    if (id === undefined && status === 202) return {};
    const { result, error } = answerIn(text, headers.get('content-type'), id) ?? {};
    if (isObject(error))
      throw new Error(`${method} was answered with the error ${String(error['code'])}: ${String(error['message'])}`);
    if (!isObject(result)) throw new Error(`${method} was answered with status ${status} and no answer`);
    const sessionId = headers.get('mcp-session-id');
    if (session !== undefined && sessionId !== null) session['mcp-session-id'] = sessionId;
    if (session !== undefined && method === 'initialize')
      session['mcp-protocol-version'] = String(result['protocolVersion']);
    return result;
  };

/** The answer to a request, in JSON or in a stream. */
function answerIn(text: string, type: string | null, id: string | undefined): Result | undefined {
  const isStream = type?.startsWith('text/event-stream') === true;
  const messages = isStream ? [...text.matchAll(/^data: (.+)$/gm)].map(([, data = '']) => data) : [text];
  return messages
    .map((message) => orUndefined(() => JSON.parse(message) as unknown))
    .filter(isObject)
    .find((message) => (message['id'] === id && !('method' in message)) || (!isStream && 'error' in message));
}
