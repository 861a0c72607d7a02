/** CORS: the permission for pages of the origins in `allowedOrigins` to call the endpoint and to read its answers. */
import type { Exchange } from './exchange.ts';
import { originAllowed } from './guards.ts';

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
  exchange.addHeader?.('Vary', 'Origin');
  if (!originAllowed(origin, allowedOrigins)) return false;
  exchange.addHeader?.('Access-Control-Allow-Origin', origin);
  exchange.addHeader?.('Access-Control-Expose-Headers', EXPOSED);
  if (exchange.method !== 'OPTIONS' || exchange.header('access-control-request-method') === undefined) return false;
  exchange.respond(204, [
    ['Access-Control-Allow-Methods', METHODS],
    ['Access-Control-Allow-Headers', exchange.header('access-control-request-headers') ?? HEADERS],
    ['Access-Control-Max-Age', '600'],
  ]);
  return true;
}
