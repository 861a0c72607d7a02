/**
 * The protected-resource metadata document (RFC 9728), from which clients learn the authorization server. Its path and
 * its `resource` come from the options, never from the request. Any origin may read it.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ResolvedAuth } from '../options/resolve-auth.ts';

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
}

const METHODS = 'GET, HEAD, OPTIONS';
const ANY_ORIGIN = { 'Access-Control-Allow-Origin': '*' };

export class WellKnown {
  readonly #path: string | undefined;
  readonly #document: string;

  constructor({ metadata, metadataUrl }: Partial<Pick<ResolvedAuth, 'metadata' | 'metadataUrl'>> = {}) {
    this.#path = metadataUrl && new URL(metadataUrl).pathname.replace(/\/$/, '');
    this.#document = JSON.stringify(metadata ?? {});
  }

  readonly fetch = async (request: Request): Promise<Response> => {
    const { pathname } = new URL(request.url);
    const asked = request.headers.get('access-control-request-headers') ?? undefined;
    const { status, headers, body } = this.#answer(request.method, pathname, asked) ?? NOT_FOUND;
    return new Response(body, { status, headers });
  };

  /** `next` is called for every other path, as in Express; without it those get 404. */
  readonly node = (req: IncomingMessage, res: ServerResponse, next?: () => void): void => {
    if (this.serve(req, res)) return;
    if (next === undefined) write(res, NOT_FOUND);
    else next();
  };

  /** `false`: the path is another one, and nothing was answered. */
  serve(req: IncomingMessage & { readonly originalUrl?: string }, res: ServerResponse): boolean {
    const [path = ''] = (req.originalUrl ?? req.url ?? '/').split('?', 1);
    const answer = this.#answer(req.method ?? 'GET', path, req.headers['access-control-request-headers']);
    if (answer === undefined) return false;
    write(res, answer);
    return true;
  }

  #answer(method: string, path: string, asked: string | undefined): Answer | undefined {
    if (this.#path === undefined || path.replace(/\/$/, '') !== this.#path) return undefined;
    switch (method) {
      case 'GET':
      case 'HEAD': {
        const headers = { ...ANY_ORIGIN, 'Content-Type': 'application/json' };
        return { status: 200, headers, body: method === 'GET' ? this.#document : null };
      }
      case 'OPTIONS': {
        const allowed = asked === undefined ? {} : { 'Access-Control-Allow-Headers': asked };
        const headers = { ...ANY_ORIGIN, 'Access-Control-Allow-Methods': METHODS, ...allowed };
        return { status: 204, headers, body: null };
      }
      default:
        return { status: 405, headers: { ...ANY_ORIGIN, Allow: METHODS }, body: null };
    }
  }
}

const NOT_FOUND: Answer = { status: 404, headers: { 'Content-Type': 'text/plain' }, body: 'Not found\n' };

function write(res: ServerResponse, { status, headers, body }: Answer): void {
  res.statusCode = status;
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
  res.end(body ?? undefined);
}
