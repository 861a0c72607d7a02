/** Checks `Host` and `Origin` against the lists of the options, against DNS rebinding and browsers on other sites. */
import { validateHostHeader } from '@modelcontextprotocol/server';
import { hostNotAllowed, originNotAllowed, type SojournError } from '../errors.ts';

/** Host headers that were allowed, by list. A client sends the same header with every request. */
const allowedHeaders = new WeakMap<readonly string[], Set<string>>();
const ALLOWED_KEPT = 100;
/** A name or an address, and a port. `URL` reads more: it takes `localhost\\evil.example` for `localhost`. */
const HOST = /^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d*)?$/i;

export function checkHost(header: string | undefined, allowed: readonly string[]): SojournError | undefined {
  let known = allowedHeaders.get(allowed);
  if (header !== undefined && known?.has(header) === true) return undefined;
  if (header === undefined || !HOST.test(header) || !validateHostHeader(header, [...allowed]).ok)
    return hostNotAllowed(header);
  if (known === undefined) allowedHeaders.set(allowed, (known = new Set()));
  if (known.size < ALLOWED_KEPT) known.add(header);
  return undefined;
}

/** Entries of `allowed` are `'*'`, host names, or whole origins as browsers spell them. */
export function originAllowed(header: string, allowed: readonly string[]): boolean {
  if (allowed.includes('*')) return true;
  const url = URL.canParse(header) ? new URL(header) : undefined;
  if (url === undefined || url.hostname === '') return false;
  return allowed.includes(header) || allowed.includes(url.hostname);
}

export function checkOrigin(header: string | undefined, allowed: readonly string[]): SojournError | undefined {
  // An empty field names no origin, and no browser sends it. It is refused like every origin outside the list.
  return header === undefined || originAllowed(header, allowed) ? undefined : originNotAllowed(header);
}
