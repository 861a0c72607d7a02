/** Requests of clients of both eras, and the answers to them. For the lab and for `sojourn check`. */
import {
  type AuthInfo,
  CLIENT_CAPABILITIES_META_KEY,
  CLIENT_INFO_META_KEY,
  PROTOCOL_VERSION_META_KEY,
  ProtocolError,
} from '@modelcontextprotocol/server';
import { TASKS_EXTENSION } from '../../durable/tasks/wire-shapes.ts';
import { encoded } from '../../http/mcp-headers.ts';
import { orUndefined } from '../../base/or-undefined.ts';
import { MODERN_VERSION } from '../../base/protocol/versions.ts';

/** Who calls. */
export interface LabCaller {
  /** For the option `auth`, and for your hooks. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** The caller, as your own authentication would find it. */
  readonly authInfo?: AuthInfo | undefined;
}

/** What a tool returned. */
export interface LabResult {
  readonly content: ReadonlyArray<{
    readonly type: string;
    readonly text?: string;
    readonly [name: string]: unknown;
  }>;
  readonly structuredContent?: unknown;
  readonly isError?: boolean;
  readonly [name: string]: unknown;
}

export type Params = Readonly<Record<string, unknown>>;

const ANSWERS = { elicitation: { form: {} }, sampling: {} };
const CAPABILITIES = {
  tasks: { ...ANSWERS, extensions: { [TASKS_EXTENSION]: {} } },
  questions: ANSWERS,
  none: {},
};

/** A 2026-07-28 client. `as`: with tasks, and it answers questions; it answers questions alone; without either. */
export function modernRequest(
  id: number,
  method: string,
  params: Params,
  as: keyof typeof CAPABILITIES = 'none',
  headers: LabCaller['headers'] = {},
): Request {
  const _meta = {
    [PROTOCOL_VERSION_META_KEY]: MODERN_VERSION,
    [CLIENT_INFO_META_KEY]: { name: 'lab', version: '1.0.0' },
    [CLIENT_CAPABILITIES_META_KEY]: CAPABILITIES[as],
  };
  const name = params['name'] ?? params['uri'] ?? params['taskId'];
  const named: Record<string, string> =
    typeof name === 'string' ? { 'mcp-name': encoded(name) } : {};
  const own = {
    'mcp-protocol-version': MODERN_VERSION,
    'mcp-method': method,
    ...named,
    ...headers,
  };
  return posted({ id, method, params: { ...params, _meta } }, own);
}

/** A 2025 client. `session`: the headers of its session. */
export function legacyRequest(
  id: number,
  method: string,
  params: Params,
  session: Iterable<[string, string]>,
): Request {
  const message = method.startsWith('notifications/') ? { method, params } : { id, method, params };
  return posted(message, Object.fromEntries(session));
}

function posted(message: object, headers: Readonly<Record<string, string>>): Request {
  return new Request('http://localhost/mcp', {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...headers,
    },
    body: JSON.stringify({ jsonrpc: '2.0', ...message }),
  });
}

interface LabAnswer {
  readonly id?: unknown;
  readonly result?: Params;
  readonly error?: { readonly code: number; readonly message: string; readonly data?: unknown };
}

/** The result of the request. Rejects with its error as a `ProtocolError` of the SDK. */
export async function resultOf(id: number, response: Response): Promise<Params> {
  const text = await response.text();
  // A JSON answer is one line, as each message of a stream is. JSON may hold other line breaks than this one.
  const lines = text.split('\n').map((line) => line.replace(/^data: /, ''));
  const messages = lines.map((json) =>
    orUndefined(() => JSON.parse(json) as LabAnswer | undefined),
  );
  const { result, error } =
    messages.find((message) => message?.error !== undefined || message?.id === id) ?? {};
  if (error !== undefined) throw ProtocolError.fromError(error.code, error.message, error.data);
  if (result === undefined)
    throw new Error(`The request was answered with status ${response.status}: ${text}`);
  return result;
}
