/**
 * `trustedProxyUser`: the user that a proxy names in a header. The header counts only where the peer of the TCP
 * connection has one of the given addresses. No header decides which address that is.
 */
import { unauthorized } from '../../base/errors.ts';
import { addressesIn } from '../../base/options/address-ranges.ts';
import type { Identification } from '../../base/options/resolve-auth.ts';
import type { Logger } from '../../base/types.ts';
import type { Authenticator } from './context.ts';

type Proxy = Extract<Identification, { by: 'proxy' }>;

/** Long enough for a distinguished name. */
const LONGEST_USER = 1_024;

/** `anonymous`: a request in which the proxy names no user is that of an anonymous caller. */
export function createProxyUsers(
  { header, from }: Proxy,
  anonymous: boolean,
  logger: Logger,
): Authenticator {
  const isProxy = addressesIn(from);
  const told = new Set<string>();
  const warn = (how: string, why: string): void => {
    if (told.has(how)) return;
    told.add(how);
    logger.warn({}, `auth.trustedProxyUser needs the address of the socket: ${why}`);
  };
  return {
    authenticate({ request: { node } }) {
      if (node === undefined)
        warn('fetch', 'use endpoint.node or listen(); every request of endpoint.fetch is refused');
      const socket = node?.req.socket as {
        readonly remoteAddress?: string;
        readonly destroyed?: boolean;
      } | null;
      const peer = socket?.remoteAddress;
      // The address of a closed connection is unknown too.
      if (peer === undefined && socket?.destroyed === false)
        warn(
          'unix',
          'a Unix socket has none, so its requests are refused; let the proxy connect to 127.0.0.1',
        );
      if (node === undefined || peer === undefined || !isProxy(peer))
        return unauthorized('', 'The request did not come through the proxy');
      const users = valuesOf(node.req.rawHeaders, header);
      if (users.length === 0 && anonymous) return undefined;
      const [user = ''] = users;
      if (users.length !== 1 || user === '' || user.length > LONGEST_USER)
        return unauthorized('', 'The proxy names no user');
      return { token: '', clientId: '', scopes: [], extra: { sub: user } };
    },
  };
}

/** Every field of that name. A client's own field beside the proxy's must not count. */
function valuesOf(rawHeaders: readonly string[], name: string): string[] {
  const values: string[] = [];
  for (let n = 0; n + 1 < rawHeaders.length; n += 2) {
    if (rawHeaders[n]?.toLowerCase() === name) values.push(rawHeaders[n + 1] ?? '');
  }
  return values;
}
