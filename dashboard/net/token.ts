/**
 * The token of this tab. `sojourn serve --dashboard` prints an address with `#token=…`. A fragment is neither sent nor
 * logged; it is read once and removed from the address.
 */

const KEY = 'sojourn-dashboard-token';
const FRAGMENT = '#token=';

let token = '';

export function readToken(): void {
  if (location.hash.startsWith(FRAGMENT)) {
    setToken(decoded(location.hash.slice(FRAGMENT.length)));
    history.replaceState(null, '', '#/fleet');
    return;
  }
  try {
    token = sessionStorage.getItem(KEY) ?? '';
  } catch {
    // A browser that blocks storage: the token lives as long as the page.
  }
}

export function setToken(value: string): void {
  token = value.trim();
  try {
    if (token === '') sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, token);
  } catch {
    // As above.
  }
}

/** Characters that a header cannot carry are no part of a token. */
export const authorization = (): Record<string, string> =>
  /^[\x21-\x7e]+$/.test(token) ? { Authorization: `Bearer ${token}` } : {};

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
