/**
 * HTTP as a careful client speaks it: what was not accepted (503, no instance) is tried again, and a broken answer
 * differs from a complete one. Over `RawClient`, so every byte of an answer is seen.
 */
import { createRawClient, type RawClient, type RawHeaders } from '../../kit/raw-client.ts';
import type { RawResponse } from '../../kit/raw-response.ts';
import type { Random } from '../../simulation/random.ts';
import { pause } from '../pause.ts';
import { type History, now } from '../history.ts';
import { NO_INSTANCE } from '../proxy.ts';
import { PATIENCE_MS } from './actor.ts';

/** Longer than any run: what takes so long is for the checker to find. */
const TIMEOUT_MS = 1_800_000;
/** Between two tries, at most. */
const RETRY_MS = 300;

export interface Asked {
  readonly method: 'POST' | 'GET' | 'DELETE';
  readonly body?: object;
  readonly headers: RawHeaders;
  /** For the list of refusals. */
  readonly what: string;
}

/** `cut`: the connection broke with the request on its way; `instance` had it. `gone`: no instance took it in time. */
export type Outcome =
  | { readonly kind: 'answer'; readonly response: RawResponse; readonly instance: string }
  | { readonly kind: 'cut'; readonly instance: string }
  | { readonly kind: 'gone'; readonly status: number; readonly text: string };

export interface RawHttpOptions {
  readonly history: History;
  readonly random: Random;
  readonly url: string;
  readonly patienceMs?: number;
}

export class RawHttp {
  readonly #options: RawHttpOptions;
  readonly #client: RawClient;
  #closed = false;

  constructor(options: RawHttpOptions) {
    this.#options = options;
    this.#client = createRawClient(options.url, { timeoutMs: TIMEOUT_MS });
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** `attempt` is called before each try. */
  async send(asked: Asked, attempt?: () => void): Promise<Outcome> {
    const { random, patienceMs = PATIENCE_MS } = this.#options;
    const deadline = now() + patienceMs;
    for (;;) {
      attempt?.();
      const outcome = await this.#once(asked);
      if (outcome.kind !== 'gone' || now() > deadline || this.#closed) return outcome;
      await pause(random.between(RETRY_MS / 6, RETRY_MS));
    }
  }

  async #once(asked: Asked): Promise<Outcome> {
    let response: RawResponse;
    try {
      response = await this.#ask(asked);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ECONNREFUSED') return { kind: 'gone', status: 0, text: 'refused' };
      return this.#cut(asked, '');
    }
    const { status } = response;
    const instance = response.header('x-instance') ?? '';
    if (status === 502)
      return instance === NO_INSTANCE ? { kind: 'gone', status, text: NO_INSTANCE } : this.#cut(asked, instance);
    const retryAfter = response.header('retry-after') !== undefined;
    const text = status >= 300 ? response.body : '';
    this.#options.history.answered({ status, text, retryAfter, instance, what: asked.what });
    if (status === 503) return { kind: 'gone', status, text };
    return { kind: 'answer', response, instance };
  }

  #cut({ what }: Asked, instance: string): Outcome {
    if (!this.#closed) this.#options.history.broke(what, instance);
    return { kind: 'cut', instance };
  }

  #ask({ method, body, headers }: Asked): Promise<RawResponse> {
    const options = { headers, sessionId: null, version: null };
    if (method === 'POST') return this.#client.post(body, options);
    return method === 'GET' ? this.#client.get(options) : this.#client.delete(options);
  }

  close(): void {
    this.#closed = true;
    this.#client.close();
  }
}
