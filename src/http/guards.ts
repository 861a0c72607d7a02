/** `Host` and `Origin` against the lists of the options (DNS rebinding, browsers of other sites). */
import { validateHostHeader } from '@modelcontextprotocol/server';
import { hostNotAllowed, originNotAllowed, type SojournError } from '../errors.ts';

export function checkHost(header: string | undefined, allowed: readonly string[]): SojournError | undefined {
  return validateHostHeader(header, [...allowed]).ok ? undefined : hostNotAllowed(header);
}

/** Entries are `'*'`, host names, or whole origins as browsers spell them. */
export function originAllowed(header: string, allowed: readonly string[]): boolean {
  if (allowed.includes('*')) return true;
  const url = URL.canParse(header) ? new URL(header) : undefined;
  if (url === undefined || url.hostname === '') return false;
  return allowed.includes(header) || allowed.includes(url.hostname);
}

export function checkOrigin(header: string | undefined, allowed: readonly string[]): SojournError | undefined {
  // An empty field names no origin and nobody sends one; it is refused like any other that is not on the list.
  return header === undefined || originAllowed(header, allowed) ? undefined : originNotAllowed(header);
}
