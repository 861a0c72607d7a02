/**
 * `trustedProxyUser`: the user that a proxy names in a header. The header counts only where the peer of the TCP
 * connection has one of the given addresses. No header decides which address that is.
 */
import net from 'node:net';
import type { AuthInfo } from '@modelcontextprotocol/server';
import { type SojournError, unauthorized } from '../errors.ts';
import { withoutBlanks } from '../http/text-ends.ts';
import type { Identification } from '../options/auth-options.ts';
import type { Logger } from '../types.ts';
import type { Authenticator, Caller } from './context.ts';

type Proxy = Extract<Identification, { by: 'proxy' }>;

/** Long enough for a distinguished name. */
const LONGEST_USER = 1_024;

export class ProxyUsers implements Authenticator {
  readonly #header: string;
  readonly #addresses = new net.BlockList();
  readonly #logger: Logger;
  #warned = false;

  constructor({ header, from }: Proxy, logger: Logger) {
    this.#header = header;
    this.#logger = logger;
    for (const range of from) {
      const [address = '', bits] = range.split('/');
      this.#addresses.addSubnet(address, Number(bits), family(address));
    }
  }

  authenticate({ request }: Pick<Caller, 'request'>): AuthInfo | SojournError {
    const { node } = request;
    if (node === undefined) this.#warnOfFetch();
    const peer = node?.req.socket.remoteAddress;
    if (node === undefined || peer === undefined || !this.#addresses.check(peer, family(peer)))
      return unauthorized('', 'The request did not come through the proxy');
    const users = valuesOf(node.req.rawHeaders, this.#header);
    const [user = ''] = users;
    if (users.length !== 1 || user === '' || user.length > LONGEST_USER)
      return unauthorized('', 'The proxy names no user');
    return { token: '', clientId: '', scopes: [], extra: { sub: user } };
  }

  #warnOfFetch(): void {
    if (this.#warned) return;
    this.#warned = true;
    this.#logger.warn(
      {},
      'auth.trustedProxyUser needs the address of the socket: use endpoint.node or listen(); every request of endpoint.fetch is refused',
    );
  }
}

/** Every field of that name. A client's own field beside the proxy's must not count. */
function valuesOf(rawHeaders: readonly string[], name: string): string[] {
  const values: string[] = [];
  for (let n = 0; n + 1 < rawHeaders.length; n += 2) {
    if (rawHeaders[n]?.toLowerCase() === name) values.push(withoutBlanks(rawHeaders[n + 1] ?? ''));
  }
  return values;
}

const family = (address: string): 'ipv4' | 'ipv6' => (net.isIPv6(address) ? 'ipv6' : 'ipv4');
