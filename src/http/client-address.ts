/**
 * The address that a caller without a user counts by, found once, where the request arrives:
 *
 *     the connection's ──not in `trustedProxies`──▶ that one
 *        ╰──a trusted proxy's──▶ `X-Forwarded-For` from the right, over trusted addresses ──▶ the first other one
 *                                  ╰──no address (`unknown`, one with a port), or the end──▶ the last trusted one
 *
 * It decides about shares alone, never who a caller is. A relayed request has the address that the instance found that
 * has the client; no instance reads a relayed field.
 */
import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import { addressesIn, addressIn } from '../base/options/address-ranges.ts';
import type { ResolvedOptions } from '../base/options/endpoint-options.ts';
import { connectionOf } from './exchange.ts';

type IncomingRequest = IncomingMessage | Http2ServerRequest | undefined;

/** Proxies that a request passes, one behind the other. */
const MOST_HOPS = 16;
const LOOPBACK = '127.0.0.1';

export class ClientAddresses {
  readonly #options: Pick<ResolvedOptions, 'trustedProxies' | 'logger'>;
  #isTrusted: ((address: string) => boolean) | undefined = undefined;
  #hasWarned = false;

  constructor(options: Pick<ResolvedOptions, 'trustedProxies' | 'logger'>) {
    this.#options = options;
  }

  /** `undefined`: unknown. */
  of(incoming: IncomingRequest): string | undefined {
    const peer = peerOf(incoming);
    const { headers }: Partial<Pick<IncomingMessage, 'headers'>> = incoming ?? {};
    const field = headers?.['x-forwarded-for'];
    if (field === undefined || peer === undefined) return peer;
    // An adapter that has no connection may pass the client's own address.
    if (connectionOf(incoming) === undefined) return peer;
    const isTrusted = (this.#isTrusted ??= addressesIn(this.#options.trustedProxies));
    if (isTrusted(peer)) return walked(peer, String(field), isTrusted);
    if (!this.#hasWarned)
      this.#options.logger.warn(
        { address: peer },
        'X-Forwarded-For came from an address that is not in trustedProxies, and was not read: if a proxy of yours has ' +
          'that address, name it there (--trusted-proxies), else all callers behind it share one limit',
      );
    this.#hasWarned = true;
    return peer;
  }
}

function walked(peer: string, field: string, isTrusted: (address: string) => boolean): string {
  let found = peer;
  let end = field.length;
  for (let hops = 0; hops < MOST_HOPS; hops++) {
    const comma = field.lastIndexOf(',', end - 1);
    const address = addressIn(field.slice(comma + 1, end).trim());
    if (address === undefined) break;
    found = address;
    if (comma <= 0 || !isTrusted(address)) break;
    end = comma;
  }
  // A part of a text keeps the whole in memory, and a session keeps its address.
  return found === peer ? peer : Buffer.from(found, 'latin1').toString('latin1');
}

/** What an adapter passes may have no socket. */
function peerOf(incoming: IncomingRequest): string | undefined {
  const socket: Partial<IncomingMessage['socket']> | null | undefined = incoming?.socket;
  const address = socket?.remoteAddress;
  if (address !== undefined) return addressIn(address.split('%', 1)[0] ?? '');
  // A TCP connection that its client has reset has no remote address either.
  const isUnix = socket?.destroyed === false && socket.localAddress === undefined;
  return isUnix && connectionOf(incoming) !== undefined ? LOOPBACK : undefined;
}
