/** Whether other machines can call an endpoint that asks nothing of its callers. */
import type { ResolvedOptions } from '../../base/options/endpoint-options.ts';

/** `address`: numeric, as it is bound. */
export function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
}

/** A list of hosts keeps no caller out: any program can send an allowed `Host`. */
export function isExposed(
  address: string,
  { auth }: ResolvedOptions,
  allowAnyone: boolean,
): boolean {
  return !isLoopback(address) && auth === undefined && !allowAnyone;
}
