/**
 * Checks `Host` and `Origin` against the lists of the options, against DNS rebinding and browsers on other sites. CORS
 * lets pages of the origins in `allowedOrigins` call the endpoint and read its answers.
 */
import { hostNotAllowed, originNotAllowed, type SojournError } from '../errors.ts';
import type { Exchange } from './exchange.ts';

/** A name or an address, and a port. `URL` reads more: it takes `localhost\\evil.example` for `localhost`. */
const HOST = /^([\w.-]+|\[[\da-f:.]+\])(?::\d*)?$/i;

export function checkHost(header: string | undefined, allowed: readonly string[]): SojournError | undefined {
  const name = header === undefined ? undefined : HOST.exec(header)?.[1]?.toLowerCase();
  return name !== undefined && allowed.includes(name) ? undefined : hostNotAllowed(header);
}

/**
 * Entries of `allowed` are `'*'`, host names, or whole origins as browsers spell them: `null` for a page from a file and
 * for a sandboxed frame.
 */
function originAllowed(header: string, allowed: readonly string[]): boolean {
  if (allowed.includes('*') || (header === 'null' && allowed.includes(header))) return true;
  const url = URL.canParse(header) ? new URL(header) : undefined;
  if (url === undefined || url.hostname === '') return false;
  return allowed.includes(header) || allowed.includes(url.hostname);
}

export function checkOrigin(header: string | undefined, allowed: readonly string[]): SojournError | undefined {
  // An empty field names no origin, and no browser sends it. It is refused like every origin outside the list.
  return header === undefined || originAllowed(header, allowed) ? undefined : originNotAllowed(header);
}

const METHODS = 'GET, POST, DELETE';
const HEADERS =
  'Content-Type, Accept, Authorization, Mcp-Session-Id, MCP-Protocol-Version, Last-Event-ID, Mcp-Method, Mcp-Name';
const EXPOSED = 'Mcp-Session-Id, WWW-Authenticate, Retry-After';

/**
 * Gives the answer, whatever it will be, the CORS headers of an allowed origin. Returns `true` when the request was a
 * preflight and is answered. `CallerChecks` refuses a request of any other origin.
 */
export function answersCors(exchange: Exchange, allowedOrigins: readonly string[]): boolean {
  const origin = exchange.header('origin');
  if (origin === undefined) return false;
  exchange.addHeader('Vary', 'Origin');
  if (!originAllowed(origin, allowedOrigins)) return false;
  exchange.addHeader('Access-Control-Allow-Origin', origin);
  exchange.addHeader('Access-Control-Expose-Headers', EXPOSED);
  if (exchange.method !== 'OPTIONS' || exchange.header('access-control-request-method') === undefined) return false;
  exchange.respond(204, [
    ['Access-Control-Allow-Methods', METHODS],
    ['Access-Control-Allow-Headers', exchange.header('access-control-request-headers') ?? HEADERS],
    ['Access-Control-Max-Age', '600'],
  ]);
  return true;
}
