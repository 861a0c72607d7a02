/**
 * Requests to the server of this page, and the token of this tab. `sojourn serve --dashboard` prints an address with
 * `#token=…`. A fragment is neither sent nor logged; it is read once and removed from the address.
 */
import type { ApiFailure } from '../wire.ts';

const KEY = 'sojourn-dashboard-token';
const FRAGMENT = '#token=';
/** An instance that is frozen does not answer, and another one may. */
const PATIENCE_MS = 4_000;

let token = '';

/** Takes the token of the address. `false`: there is none. */
export function takeToken(): boolean {
  if (!location.hash.startsWith(FRAGMENT)) return false;
  setToken(decoded(location.hash.slice(FRAGMENT.length)));
  history.replaceState(null, '', '#/instances');
  return true;
}

export function readToken(): void {
  if (takeToken()) return;
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
    // The browser keeps nothing for pages here: the token lasts as long as this one.
  }
}

/** A text of the address, which a person may have typed. */
export function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Characters that a header cannot carry are no part of a token. */
const authorization = (): Record<string, string> =>
  /^[\x21-\x7e]+$/.test(token) ? { Authorization: `Bearer ${token}` } : {};

/** The server refused, or cannot be reached (status 0). Its message is a sentence for the page. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;
  readonly code: string;

  constructor(status: number, { error, message }: ApiFailure) {
    super(message);
    this.status = status;
    this.code = error;
  }
}

const UNREACHABLE: ApiFailure = {
  error: 'unreachable',
  message: 'The server of this page cannot be reached.',
};

async function request(
  path: string,
  headers: Record<string, string>,
  method = 'GET',
): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(new URL(`api/${path}`, document.baseURI), {
      method,
      headers: { ...authorization(), ...headers },
      cache: 'no-store',
      credentials: 'same-origin',
      redirect: 'error',
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
  } catch {
    throw new ApiError(0, UNREACHABLE);
  }
  if (response.ok) return response;
  throw new ApiError(response.status, await failureOf(response));
}

async function failureOf(response: Response): Promise<ApiFailure> {
  try {
    const { error, message } = (await response.json()) as Partial<ApiFailure>;
    if (typeof error === 'string' && typeof message === 'string') return { error, message };
  } catch {
    // A proxy may answer with its own page.
  }
  return { error: 'status', message: `The server answered with status ${response.status}.` };
}

/** `search` is no part of the address: it may be the id of a session, and proxies log addresses. */
export async function look<T>(path: string, search = ''): Promise<T> {
  const response = await request(
    path,
    search === '' ? {} : { 'Sojourn-Search': encodeURIComponent(search) },
  );
  return (await response.json()) as T;
}

/** An action. A form of another site cannot send the header. */
export async function act(path: string): Promise<void> {
  await request(path, { 'Sojourn-Dashboard': '1' }, 'POST');
}
