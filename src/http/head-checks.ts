/**
 * What the head of a request is refused for, but for its user: its fields, `Host`, `Origin`, and `Accept`. CORS is here
 * too, because it answers by the same list of origins.
 */
import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import { BoundedMap } from '../base/bounded-map.ts';
import {
  hostNotAllowed,
  originNotAllowed,
  repeatedField,
  type SojournError,
  tooManyFields,
} from '../base/errors.ts';
import type { Exchange } from './exchange.ts';
import { serverOf } from './host-servers.ts';

// ——— fields that contradict each other ———
//
// `Host` and `Authorization` say for whom a request is and from whom. Of two such fields Node.js keeps the first, other
// servers keep the last, and `Headers` joins both. So a proxy may check one field and sojourn another.

/** Two credentials in one field. Parameters, as those of `Digest`, are no credentials. */
const TWO_CREDENTIALS = /^[\w-]+ +[\w.~+/-]+=*[ \t]*,/;

/** `rawHeaders`: names and values in turn, as Node.js has them. */
export function repeatedIn(rawHeaders: readonly string[]): string | undefined {
  let hosts = 0;
  let credentials = 0;
  // Most names have another length, which is compared without a copy of the name.
  for (let n = 0; n < rawHeaders.length; n += 2) {
    const name = rawHeaders[n] ?? '';
    if ((name.length === 4 && name.toLowerCase() === 'host') || name === ':authority') hosts += 1;
    else if (name.length === 13 && name.toLowerCase() === 'authorization')
      credentials += TWO_CREDENTIALS.test(rawHeaders[n + 1] ?? '') ? 2 : 1;
  }
  return hosts > 1 ? 'Host' : credentials > 1 ? 'Authorization' : undefined;
}

/** What an adapter passes may lack the fields as they came. */
type IncomingHead = Pick<IncomingMessage | Http2ServerRequest, 'httpVersionMajor' | 'socket'> & {
  readonly rawHeaders?: readonly string[];
};

/** Node.js keeps this many fields of a request, unless its server has a `maxHeadersCount`. */
const MOST_KEPT = 1_000;

/** Node.js may have left out fields, a second `Authorization` for example: it says nothing about it. HTTP/2 refuses. */
function mayLackFields({ rawHeaders, httpVersionMajor, socket }: IncomingHead): boolean {
  const most = serverOf(socket)?.maxHeadersCount ?? MOST_KEPT;
  return most > 0 && (rawHeaders?.length ?? 0) >= 2 * most && !(httpVersionMajor > 1);
}

/** Why the fields of a request are refused: two of them contradict each other, or some may be missing. */
export function checkFields(exchange: Exchange): SojournError | undefined {
  const { incoming } = exchange;
  if (incoming !== undefined && mayLackFields(incoming)) return tooManyFields();
  const repeated = repeatedIn(incoming?.rawHeaders ?? []) ?? joinedIn(exchange);
  return repeated === undefined ? undefined : repeatedField(repeated);
}

/** The repeated field where a `Headers` has joined both. */
function joinedIn(exchange: Exchange): string | undefined {
  if (exchange.header('host')?.includes(',') === true) return 'Host';
  return TWO_CREDENTIALS.test(exchange.header('authorization') ?? '') ? 'Authorization' : undefined;
}

// ——— `Host` and `Origin`: against DNS rebinding, and browsers on other sites ———

/** A name or an address, and a port. `URL` reads more: it takes `localhost\\evil.example` for `localhost`. */
const HOST = /^([\w.-]+|\[[\da-f:.]+\])(?::\d*)?$/i;

export function checkHost(
  header: string | undefined,
  allowed: readonly string[],
): SojournError | undefined {
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

export function checkOrigin(
  header: string | undefined,
  allowed: readonly string[],
): SojournError | undefined {
  // An empty field names no origin, and no browser sends it. It is refused like every origin outside the list.
  return header === undefined || originAllowed(header, allowed)
    ? undefined
    : originNotAllowed(header);
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
  if (
    exchange.method !== 'OPTIONS' ||
    exchange.header('access-control-request-method') === undefined
  )
    return false;
  exchange.respond(204, [
    ['Access-Control-Allow-Methods', METHODS],
    ['Access-Control-Allow-Headers', exchange.header('access-control-request-headers') ?? HEADERS],
    ['Access-Control-Max-Age', '600'],
  ]);
  return true;
}

// ——— `Accept`, by its grammar (RFC 9110): a substring search would accept `q=0` and quoted text ———

/** A comma or a semicolon inside quotes separates nothing. */
const QUOTED = /"(?:[^"\\]|\\.)*"?/g;

/** Tells whether a type is taken. The most specific range decides: beside a range of all, `q=0` refuses a type. */
function parseAccept(header: string): (type: string) => boolean {
  const weights = new Map<string, number>();
  for (const entry of header.replace(QUOTED, '').split(',')) {
    const [range = '', ...params] = entry.split(';').map((part) => part.trim().toLowerCase());
    const weight = params.find((param) => param.startsWith('q='));
    if (!weights.has(range)) weights.set(range, weight === undefined ? 1 : Number(weight.slice(2)));
  }
  return (type) =>
    (weights.get(type) ?? weights.get(type.replace(/\/.*/, '/*')) ?? weights.get('*/*') ?? 0) > 0;
}

interface Accepted {
  readonly json: boolean;
  /** An event stream. */
  readonly stream: boolean;
}

const cache = new BoundedMap<string, Accepted>(100);

/** Which types the client takes. Answers are cached, because clients send the same few values with every request. */
export function accepted(header = ''): Accepted {
  const known = cache.get(header);
  if (known !== undefined) return known;
  const takes = parseAccept(header);
  const made = { json: takes('application/json'), stream: takes('text/event-stream') };
  if (header.length <= 1024) cache.set(header, made);
  return made;
}
