/** For each step of the validation order a fault that only this step sees, and the error that the client gets. */
import { envelope } from '../kit/modern.ts';

/** `token` comes with the option `auth`. */
/** The checks of a message, in their order (`src/eras/request-checks.ts`). */
export const VALIDATION_ORDER = [
  'host',
  'origin',
  'token',
  'method',
  'accept',
  'content-type',
  'declared-length',
  'body',
  'values',
  'json',
  'shape',
  'version',
  'era',
  // modern
  'header-agreement',
  'mcp-headers',
  'meta',
  'removed-method',
  // legacy
  'session-id',
  'lookup',
  'user',
  'session-version',
  'id-in-flight',
  'running-requests',
] as const;

export type Step = Exclude<(typeof VALIDATION_ORDER)[number], 'token'>;

/** A value that is sent without its quotes. */
export const NOT_JSON = 'not JSON';

/** A request while it is being spoiled. */
export interface Draft {
  mode: 'stateful' | 'hybrid';
  method: string;
  headers: Record<string, string>;
  message: { jsonrpc: string; id: number; method: string; params?: Record<string, unknown> };
  /** Says a length and never sends a byte. */
  unsent: boolean;
}

export interface Fault {
  spoil(draft: Draft): void;
  readonly status: number;
  readonly code: number;
  readonly says: RegExp;
  /** 5 where the request's id is known by then; `null` for all that is decided before. */
  readonly id: 5 | null;
  /** Of a refusal that is an answer: what the header `Sojourn-Refused` says. */
  readonly refused?: string;
  /** Its status where it cannot be an answer. */
  readonly plain?: number;
}

/** Of the request that the session of a draft is running already. */
export const RUNNING_ID = 77;
/** `limits.bodyBytes`. */
export const BODY_BYTES = 2_000;
const header =
  (name: string, value: string): Fault['spoil'] =>
  ({ headers }) => {
    headers[name] = value;
  };

export const FAULTS: Record<Step, Fault> = {
  host: { spoil: header('host', 'evil.example'), status: 403, code: -32000, says: /^Host "evil\.example"/, id: null },
  origin: {
    spoil: header('origin', 'https://evil.example'),
    status: 403,
    code: -32000,
    says: /^Origin "https:\/\/evil\.example"/,
    id: null,
  },
  method: {
    spoil: (draft) => {
      draft.method = 'PUT';
    },
    status: 405,
    code: -32000,
    says: /^Method PUT/,
    id: null,
  },
  accept: {
    spoil: header('accept', 'text/html'),
    status: 200,
    refused: 'not_acceptable',
    plain: 406,
    code: -32000,
    says: /^Not Acceptable/,
    id: 5,
  },
  'content-type': {
    spoil: header('content-type', 'text/plain'),
    status: 200,
    refused: 'unsupported_media_type',
    plain: 415,
    code: -32000,
    says: /^Unsupported Media Type/,
    id: 5,
  },
  'declared-length': {
    spoil: (draft) => {
      // Too long for its id to be looked for: refused at once.
      draft.headers['content-length'] = String(4 * BODY_BYTES + 1);
      delete draft.headers['transfer-encoding'];
      draft.unsent = true;
    },
    status: 413,
    code: -32000,
    says: /^Payload Too Large/,
    id: null,
  },
  body: {
    spoil: (draft) => {
      draft.message.params = { ...draft.message.params, padding: ' '.repeat(BODY_BYTES) };
      draft.headers['transfer-encoding'] = 'chunked';
    },
    status: 200,
    refused: 'body_too_large',
    plain: 413,
    code: -32000,
    says: /^Payload Too Large/,
    id: 5,
  },
  values: {
    spoil: ({ message }) => {
      message.params = { ...message.params, arguments: JSON.parse('['.repeat(200) + ']'.repeat(200)) as never };
    },
    status: 200,
    refused: 'invalid_request',
    plain: 400,
    code: -32600,
    says: /^Invalid Request: the body is nested deeper than 128 levels/,
    id: 5,
  },
  json: {
    spoil: ({ message }) => {
      message.params = { ...message.params, broken: NOT_JSON };
    },
    status: 400,
    code: -32700,
    says: /^Parse error: the body is not JSON/,
    id: null,
  },
  shape: {
    spoil: ({ message }) => {
      message.jsonrpc = '1.0';
    },
    status: 200,
    refused: 'invalid_request',
    plain: 400,
    code: -32600,
    says: /^Invalid Request: jsonrpc must be/,
    id: 5,
  },
  version: {
    spoil: header('mcp-protocol-version', '2999-01-01'),
    status: 400,
    code: -32022,
    says: /^Unsupported protocol version "2999-01-01"/,
    id: 5,
  },
  era: {
    spoil: (draft) => {
      draft.mode = 'stateful';
      draft.message.params = { ...draft.message.params, _meta: envelope() };
    },
    status: 400,
    code: -32022,
    says: /^Unsupported protocol version "2026-07-28"/,
    id: 5,
  },
  'header-agreement': {
    spoil: header('mcp-protocol-version', '2025-11-25'),
    status: 400,
    code: -32020,
    says: /^Header mismatch: MCP-Protocol-Version is "2025-11-25"/,
    id: 5,
  },
  'mcp-headers': {
    spoil: header('mcp-method', 'tools/list'),
    status: 400,
    code: -32020,
    says: /^Header mismatch: Mcp-Method is "tools\/list"/,
    id: 5,
  },
  meta: {
    spoil: ({ message }) => {
      message.params = {
        ...message.params,
        _meta: envelope({}, { 'io.modelcontextprotocol/clientCapabilities': undefined }),
      };
    },
    status: 400,
    code: -32602,
    says: /clientCapabilities/,
    id: 5,
  },
  'removed-method': {
    spoil: ({ message, headers }) => {
      message.method = 'logging/setLevel';
      headers['mcp-method'] = 'logging/setLevel';
    },
    status: 404,
    code: -32601,
    says: /^Method not found/,
    id: 5,
  },
  'session-id': {
    spoil: header('mcp-session-id', 'two words'),
    status: 400,
    code: -32000,
    says: /^Bad Request: Mcp-Session-Id must be/,
    id: 5,
  },
  lookup: {
    spoil: header('mcp-session-id', 'unknown'),
    status: 404,
    code: -32001,
    says: /^Session not found$/,
    id: null,
  },
  user: { spoil: header('x-user', 'mallory'), status: 403, code: -32000, says: /^Forbidden/, id: 5 },
  'session-version': {
    spoil: header('mcp-protocol-version', '2025-06-18'),
    status: 400,
    code: -32600,
    says: /^Invalid Request: MCP-Protocol-Version is 2025-06-18/,
    id: 5,
  },
  'id-in-flight': {
    spoil: ({ message }) => {
      message.id = RUNNING_ID;
    },
    status: 200,
    refused: 'request_id_in_flight',
    plain: 400,
    code: -32600,
    says: /^Invalid Request: the request id 77 is still in flight/,
    id: 5,
  },
  'running-requests': {
    spoil: ({ message }) => {
      message.method = 'tools/list';
    },
    status: 200,
    refused: 'too_many_requests',
    plain: 429,
    code: -32000,
    says: /^Too Many Requests/,
    id: 5,
  },
};
