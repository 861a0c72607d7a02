/**
 * The protected-resource metadata documents (RFC 9728), from which clients learn the authorization server. Their paths
 * and their `resource` come from the options, never from the request. Any origin may read it.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { PLAIN_HEADERS } from '../answer.ts';
import { type Exchange, type ExchangeHost, type HeaderList, JSON_HEADERS } from '../exchange.ts';
import { FetchExchange } from '../fetch-exchange.ts';
import { NodeExchange } from '../node-exchange.ts';
import type { ResolvedAuth } from '../../base/options/resolve-auth.ts';

const METHODS = 'GET, HEAD, OPTIONS';
const ANY_ORIGIN: HeaderList = [['Access-Control-Allow-Origin', '*']];

export class WellKnown {
  /** The key is a path. */
  readonly #documents: ReadonlyMap<string, string>;
  readonly #host: ExchangeHost;

  constructor(host: ExchangeHost, { resources = [] }: Partial<ResolvedAuth> = {}) {
    this.#host = host;
    // Where two hosts have one path, the first counts.
    const documents = resources.map(({ url, document }) => [pathIn(url), document] as const);
    this.#documents = new Map(
      documents.toReversed().map(([path, document]) => [path, JSON.stringify(document)]),
    );
  }

  readonly fetch = (request: Request): Promise<Response> => {
    const exchange = new FetchExchange(request, {}, this.#host);
    if (!this.serve(exchange)) exchange.respond(404, PLAIN_HEADERS, 'Not found\n');
    return exchange.response;
  };

  /** `next` is called for every other path, as in Express; without it those get 404. */
  readonly node = (req: IncomingMessage, res: ServerResponse, next?: () => void): void => {
    const exchange = new NodeExchange(req, res, undefined, this.#host);
    if (this.serve(exchange)) return;
    if (next === undefined) exchange.respond(404, PLAIN_HEADERS, 'Not found\n');
    else next();
  };

  /** `false`: the path is another one, and nothing was answered. */
  serve(exchange: Exchange): boolean {
    const [path = ''] = exchange.url.split('?', 1);
    const document = this.#documents.get(path.replace(/\/$/, ''));
    if (document === undefined) return false;
    if (!exchange.open()) return true;
    const { method } = exchange;
    if (method === 'OPTIONS') {
      const asked = exchange.header('access-control-request-headers');
      const allowed: HeaderList =
        asked === undefined ? [] : [['Access-Control-Allow-Headers', asked]];
      exchange.respond(204, [...ANY_ORIGIN, ['Access-Control-Allow-Methods', METHODS], ...allowed]);
    } else if (method === 'GET' || method === 'HEAD')
      exchange.respond(
        200,
        [...ANY_ORIGIN, ...JSON_HEADERS],
        method === 'GET' ? document : undefined,
      );
    else exchange.respond(405, [...ANY_ORIGIN, ['Allow', METHODS]]);
    return true;
  }
}

const pathIn = (url: string): string => new URL(url).pathname.replace(/\/$/, '');
