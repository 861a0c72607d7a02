/**
 * Tokens that were verified a moment ago. A signature costs more CPU than a whole call, and a client sends the same
 * token with every request. Tokens are remembered by the SHA-256 of what they were verified for and themselves alone, for at most a minute, and never past their
 * expiry.
 */
import type { AuthInfo } from '@modelcontextprotocol/server';
import { digestText } from '../../base/digest.ts';
import { BoundedMap } from '../../base/bounded-map.ts';
import type { TimeProvider } from '../../base/types.ts';

/** A key that its authorization server withdraws is accepted for this long. */
const KEPT_MS = 60_000;
const MOST = 10_000;
/** The limit of all remembered tokens: claims are about as long as their token. */
const MOST_BYTES = 16 * 1_048_576;

interface Verified {
  /** Its token is empty. */
  readonly info: AuthInfo;
  readonly until: number;
  readonly bytes: number;
}

export class VerifiedTokens {
  readonly #time: Pick<TimeProvider, 'now'>;
  readonly #known = new BoundedMap<string, Verified>(MOST, {
    most: MOST_BYTES,
    of: ({ bytes }) => bytes,
  });

  constructor(time: Pick<TimeProvider, 'now'>) {
    this.#time = time;
  }

  /** A fresh copy for every request, because handlers may write into it. */
  get(token: string, audience: string): AuthInfo | undefined {
    const key = digestText(`${audience}${token}`);
    const known = this.#known.use(key);
    if (known === undefined) return undefined;
    if (known.until <= this.#time.now()) {
      this.#known.delete(key);
      return undefined;
    }
    const { info } = known;
    return { ...info, token, scopes: [...info.scopes], extra: { ...info.extra } };
  }

  keep(token: string, audience: string, info: AuthInfo): void {
    const until = Math.min(this.#time.now() + KEPT_MS, (info.expiresAt ?? 0) * 1_000);
    const copy = { ...info, token: '', scopes: [...info.scopes], extra: { ...info.extra } };
    this.#known.set(digestText(`${audience}${token}`), { info: copy, until, bytes: token.length });
  }

  get size(): number {
    return this.#known.size;
  }
}
