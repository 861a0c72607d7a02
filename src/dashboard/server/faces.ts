/** The two faces of the dashboard, `node:http` and web `Request`s: both make a `DashboardRequest` of what they get. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { URL_PARTS } from '../../http/fetch-exchange.ts';
import { repeatedIn } from '../../http/head-checks.ts';

export interface DashboardRequest {
  readonly method: string;
  /** With the prefix where the dashboard is mounted. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** The field that came twice, `Host` or `Authorization`: a proxy may have read the other one. */
  readonly repeated: string | undefined;
  /** Looks a field up by its lower-case name. */
  header(name: string): string | undefined;
}

export interface DashboardReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

/** The body of each answer of 400 or more. */
export interface ApiFailure {
  /** `token`, `unknown`, `store_unavailable`, or another word. */
  readonly error: string;
  /** A sentence for the page. */
  readonly message: string;
}

/** How a request is answered. Never rejects. */
type DashboardHandler = (request: DashboardRequest) => Promise<DashboardReply>;

export async function serveNode(
  handle: DashboardHandler,
  req: IncomingMessage & { readonly originalUrl?: string },
  res: ServerResponse,
): Promise<void> {
  const { method = 'GET', headers: fields } = req;
  const { status, headers, body } = await handle({
    method,
    // Routers cut their prefix off `url`.
    ...splitTarget(req.originalUrl ?? req.url ?? '/'),
    repeated: repeatedIn(req.rawHeaders),
    // HTTP/2 has another field in place of `Host`.
    header: (name) =>
      (name === 'host' ? (fields[':authority'] ?? fields.host) : fields[name])?.toString(),
  });
  if (res.destroyed || res.headersSent) return;
  // No body is read: over HTTP/1 its rest would come before the next request.
  const hasBody =
    fields['transfer-encoding'] !== undefined || Number(fields['content-length'] ?? 0) > 0;
  res.writeHead(status, {
    ...headers,
    ...(hasBody && req.httpVersionMajor === 1 && { Connection: 'close' }),
  });
  res.end(method === 'HEAD' ? undefined : body);
}

export async function serveFetch(handle: DashboardHandler, request: Request): Promise<Response> {
  const { url, method, headers: fields } = request;
  const [, authority, target = ''] = URL_PARTS.exec(url) ?? [];
  const { status, headers, body } = await handle({
    method,
    ...splitTarget(target),
    // `Headers` joins fields of one name.
    repeated: ['host', 'authorization'].find((name) => fields.get(name)?.includes(',')),
    // Adapters name a host of HTTP/2 in the URL alone.
    header: (name) => fields.get(name) ?? (name === 'host' ? authority : undefined),
  });
  const sent = method === 'HEAD' || body === undefined ? null : Buffer.from(body as string);
  return new Response(sent, { status, headers });
}

function splitTarget(target: string): Pick<DashboardRequest, 'path' | 'query'> {
  const [whole = '/'] = target.split('#', 1);
  const [path = '/'] = whole.split('?', 1);
  return { path, query: new URLSearchParams(whole.slice(path.length)) };
}

export function failed(
  status: number,
  error: string,
  message: string,
  more?: Record<string, string>,
): DashboardReply {
  const body: ApiFailure = { error, message };
  const headers = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', ...more };
  return { status, headers, body: JSON.stringify(body) };
}

/** Ends the work for a request, with this answer. */
export class Refused extends Error {
  readonly reply: DashboardReply;

  constructor(...why: Parameters<typeof failed>) {
    super(why[2]);
    this.reply = failed(...why);
  }
}
