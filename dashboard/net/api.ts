/** Requests to the server of this page. */
import type { ApiFailure } from '../../src/dashboard/wire-pages.ts';
import { authorization } from './token.ts';

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

const address = (path: string): URL => new URL(`api/${path}`, document.baseURI);

const UNREACHABLE: ApiFailure = { error: 'unreachable', message: 'The server of this page cannot be reached.' };

export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(address(path), {
      ...init,
      headers: { ...authorization(), ...(init.headers as Record<string, string> | undefined) },
      cache: 'no-store',
      credentials: 'same-origin',
      redirect: 'error',
    });
  } catch (cause) {
    if (init.signal?.aborted === true) throw cause;
    throw new ApiError(0, UNREACHABLE);
  }
  if (response.ok) return response;
  throw new ApiError(response.status, await failureOf(response));
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await request(path, signal === undefined ? {} : { signal });
  return (await response.json()) as T;
}

/** An action. A form of another site cannot send the header. */
export async function act<T>(path: string): Promise<T> {
  const headers = { 'Content-Type': 'application/json', 'Sojourn-Dashboard': '1' };
  const response = await request(path, { method: 'POST', headers, body: '{}' });
  return (await response.json()) as T;
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
