/**
 * The checks of a message, in their order (`src/eras/request-checks.ts`): for each a fault that only this step sees, and
 * the error that the client gets. The token, which comes with the option `auth`, is checked after the origin.
 */
import { envelope } from '../kit/modern.ts';

/** A value that is sent without its quotes. */
export const NOT_JSON = 'not JSON';

/** A request while it is being spoiled. */
export interface Draft {
  mode: 'stateful' | 'hybrid';
  method: string;
  headers: Record<string, string>;
  message: {
    jsonrpc: string;
    id: number | string;
    method: string;
    params?: Record<string, unknown>;
  };
  /** Says a length and never sends a byte. */
  unsent: boolean;
}

export interface Fault {
  spoil(draft: Draft): void;
  readonly status: number;
  readonly code: number;
  readonly says: RegExp;
  /** 5 where the request's id is known by then; `null` for all that is decided before. */
  readonly id: number | string | null;
  /** Of a refusal that is an answer: what the header `Sojourn-Refused` says. */
  readonly refused?: string;
  /** Its status where it cannot be an answer. */
  readonly plain?: number;
}

/** Of the request that the session of a draft is running already. */
export const RUNNING_ID = 77;
/** `limits.bodyBytes`. */
export const BODY_BYTES = 2_000;

type Spoil = Fault['spoil'];
const header =
  (name: string, value: string): Spoil =>
  ({ headers }) => {
    headers[name] = value;
  };
const params =
  (more: Record<string, unknown>): Spoil =>
  ({ message }) => {
    message.params = { ...message.params, ...more };
  };

/** A fault that is refused with its status before the id of the request is known. */
const unread = (status: number, code: number, says: RegExp, spoil: Spoil): Fault => ({
  spoil,
  status,
  code,
  says,
  id: null,
});
/** A fault that is refused with its status and the id of the request. */
const refused = (status: number, code: number, says: RegExp, spoil: Spoil): Fault => ({
  ...unread(status, code, says, spoil),
  id: 5,
});
/** A fault that is refused in an answer on a session, and with its status elsewhere. */
const answered = (
  reason: string,
  plain: number,
  code: number,
  says: RegExp,
  spoil: Spoil,
): Fault => ({
  ...refused(200, code, says, spoil),
  refused: reason,
  plain,
});

const evil = 'https://evil.example';
const tooDeep = JSON.parse('['.repeat(200) + ']'.repeat(200)) as unknown;
const withoutCapabilities = envelope(
  {},
  { 'io.modelcontextprotocol/clientCapabilities': undefined },
);

export const VALIDATION_ORDER = {
  host: unread(403, -32000, /^Host "evil\.example"/, header('host', 'evil.example')),
  origin: unread(403, -32000, /^Origin "https:\/\/evil\.example"/, header('origin', evil)),
  method: unread(405, -32000, /^Method PUT/, (draft) => {
    draft.method = 'PUT';
  }),
  accept: answered('not_acceptable', 406, -32000, /^Not Acceptable/, header('accept', 'text/html')),
  'content-type': answered(
    'unsupported_media_type',
    415,
    -32000,
    /^Unsupported Media Type/,
    header('content-type', 'text/plain'),
  ),
  'declared-length': unread(413, -32000, /^Payload Too Large/, (draft) => {
    // Too long for its id to be looked for: refused at once.
    draft.headers['content-length'] = String(4 * BODY_BYTES + 1);
    delete draft.headers['transfer-encoding'];
    draft.unsent = true;
  }),
  body: answered('body_too_large', 413, -32000, /^Payload Too Large/, (draft) => {
    params({ padding: ' '.repeat(BODY_BYTES) })(draft);
    draft.headers['transfer-encoding'] = 'chunked';
  }),
  values: answered(
    'invalid_request',
    400,
    -32600,
    /^Invalid Request: the body is nested deeper than 128 levels/,
    params({ arguments: tooDeep }),
  ),
  json: unread(400, -32700, /^Parse error: the body is not JSON/, params({ broken: NOT_JSON })),
  shape: answered(
    'invalid_request',
    400,
    -32600,
    /^Invalid Request: jsonrpc must be/,
    ({ message }) => {
      message.jsonrpc = '1.0';
    },
  ),
  version: refused(
    400,
    -32022,
    /^Unsupported protocol version "2999-01-01"/,
    header('mcp-protocol-version', '2999-01-01'),
  ),
  era: refused(400, -32022, /^Unsupported protocol version "2026-07-28"/, (draft) => {
    draft.mode = 'stateful';
    params({ _meta: envelope() })(draft);
  }),
  // Of 2026-07-28.
  'header-agreement': refused(
    400,
    -32020,
    /^Header mismatch: MCP-Protocol-Version is "2025-11-25"/,
    header('mcp-protocol-version', '2025-11-25'),
  ),
  'mcp-headers': refused(
    400,
    -32020,
    /^Header mismatch: Mcp-Method is "tools\/list"/,
    header('mcp-method', 'tools/list'),
  ),
  meta: refused(400, -32602, /clientCapabilities/, params({ _meta: withoutCapabilities })),
  'removed-method': refused(404, -32601, /^Method not found/, ({ message, headers }) => {
    message.method = 'logging/setLevel';
    headers['mcp-method'] = 'logging/setLevel';
  }),
  // Of sessions.
  'session-id': refused(
    400,
    -32000,
    /^Bad Request: Mcp-Session-Id must be/,
    header('mcp-session-id', 'two words'),
  ),
  lookup: unread(404, -32001, /^Session not found$/, header('mcp-session-id', 'unknown')),
  user: refused(403, -32000, /^Forbidden/, header('x-user', 'mallory')),
  'session-version': refused(
    400,
    -32600,
    /^Invalid Request: MCP-Protocol-Version is 2025-06-18/,
    header('mcp-protocol-version', '2025-06-18'),
  ),
  'id-in-flight': answered(
    'request_id_in_flight',
    400,
    -32600,
    /^Invalid Request: the request id 77 is still in flight/,
    ({ message }) => {
      message.id = RUNNING_ID;
    },
  ),
  'running-requests': answered(
    'too_many_requests',
    429,
    -32000,
    /^Too Many Requests/,
    ({ message }) => {
      message.method = 'tools/list';
    },
  ),
} satisfies Record<string, Fault>;

export type Step = keyof typeof VALIDATION_ORDER;
