/** The two faces of the dashboard: `node:http` and web `Request`s. Both make a `DashboardRequest` of what they get. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { repeatedIn, repeatedOf } from '../../http/repeated-field.ts';
import { createRequestView } from '../../http/request-view.ts';
import type { McpHttpRequest } from '../../types.ts';
import type { DashboardReply, DashboardRequest } from './dashboard-request.ts';

/** How a request is answered. Never rejects. */
interface DashboardHandler {
  handle(request: DashboardRequest): Promise<DashboardReply>;
}

type NodeRequest = IncomingMessage & { readonly originalUrl?: string };

export async function serveNode(handler: DashboardHandler, req: NodeRequest, res: ServerResponse): Promise<void> {
  // Routers cut their prefix off `url`.
  const target = req.originalUrl ?? req.url ?? '/';
  const header = (name: string): string | undefined => {
    const value = req.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  };
  const request: DashboardRequest = {
    method: req.method ?? 'GET',
    ...splitTarget(target),
    header,
    repeated: repeatedIn(req.rawHeaders),
    get view() {
      return nodeView(req, res, target);
    },
  };
  const { status, headers, body } = await handler.handle(request);
  if (res.destroyed || res.headersSent) return;
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
  // No body is read. The rest of a large body would come before the next request.
  if (isLarge(req)) res.setHeader('Connection', 'close');
  res.statusCode = status;
  res.end(request.method === 'HEAD' ? undefined : body);
}

/** The page sends `{}`. */
const BODY_BYTES = 4_096;

const isLarge = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > BODY_BYTES;

function nodeView(req: NodeRequest, res: ServerResponse, target: string): McpHttpRequest {
  const controller = new AbortController();
  res.once('close', () => controller.abort());
  const scheme = (req.socket as Partial<TLSSocket>).encrypted === true ? 'https' : 'http';
  const url = `${scheme}://${req.headers.host ?? 'localhost'}${target}`;
  return createRequestView({
    method: req.method ?? 'GET',
    authInfo: undefined,
    user: undefined,
    signal: controller.signal,
    node: { req, res },
    headerFields: () => req.headers,
    absoluteUrl: () => (URL.canParse(url) ? url : `${scheme}://localhost/`),
  });
}

export async function serveFetch(handler: DashboardHandler, request: Request): Promise<Response> {
  const { url, method, headers: fields } = request;
  // Some adapters create requests whose URL is the bare text that the client sent.
  const from = url.indexOf('//') + 2;
  const target = url.slice(from).replace(/^[^/?#]*/, '');
  const { status, headers, body } = await handler.handle({
    method,
    ...splitTarget(target),
    header: (name) => fields.get(name) ?? undefined,
    repeated: repeatedOf(fields),
    view: request,
  });
  const sent = method === 'HEAD' || status === 304 || body === undefined ? null : Buffer.from(body as string);
  return new Response(sent, { status, headers });
}

function splitTarget(target: string): { readonly path: string; readonly query: string } {
  const [whole = '/'] = target.split('#', 1);
  const at = whole.indexOf('?');
  return at < 0 ? { path: whole, query: '' } : { path: whole.slice(0, at), query: whole.slice(at + 1) };
}
