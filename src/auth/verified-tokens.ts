/**
 * Tokens that were verified a moment ago. A signature costs more CPU than a whole call, and a client sends the same
 * token with every request. Tokens are remembered by their SHA-256 alone, for at most a minute, and never past their
 * expiry.
 */
import { createHash } from 'node:crypto';
import type { AuthInfo } from '@modelcontextprotocol/server';
import type { TimeProvider } from '../types.ts';

/** A key that its authorization server withdraws is accepted for this long. */
const KEPT_MS = 60_000;
const MOST = 10_000;
/** Of all remembered tokens: claims are about as long as their token. */
const MOST_BYTES = 16 * 1_048_576;

interface Verified {
  /** Its token is empty. */
  readonly info: AuthInfo;
  readonly until: number;
  readonly bytes: number;
}

export class VerifiedTokens {
  readonly #time: Pick<TimeProvider, 'now'>;
  /** The token that was not used for the longest time is first. */
  readonly #known = new Map<string, Verified>();
  #bytes = 0;

  constructor(time: Pick<TimeProvider, 'now'>) {
    this.#time = time;
  }

  /** A fresh copy for every request, because handlers may write into it. */
  get(token: string): AuthInfo | undefined {
    const key = keyOf(token);
    const known = this.#known.get(key);
    if (known === undefined) return undefined;
    this.#known.delete(key);
    if (known.until <= this.#time.now()) {
      this.#bytes -= known.bytes;
      return undefined;
    }
    this.#known.set(key, known);
    const { info } = known;
    return { ...info, token, scopes: [...info.scopes], extra: { ...info.extra } };
  }

  keep(token: string, info: AuthInfo): void {
    const key = keyOf(token);
    this.#drop(key);
    const until = Math.min(this.#time.now() + KEPT_MS, (info.expiresAt ?? 0) * 1_000);
    const scopes = [...info.scopes];
    this.#known.set(key, {
      info: { ...info, token: '', scopes, extra: { ...info.extra } },
      until,
      bytes: token.length,
    });
    this.#bytes += token.length;
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= MOST && this.#bytes <= MOST_BYTES) return;
      this.#drop(oldest);
    }
  }

  get size(): number {
    return this.#known.size;
  }

  #drop(key: string): void {
    this.#bytes -= this.#known.get(key)?.bytes ?? 0;
    this.#known.delete(key);
  }
}

const keyOf = (token: string): string => createHash('sha256').update(token).digest('base64url');
