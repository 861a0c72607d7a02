/**
 * Sessions without a store: the handshake travels inside the session id, encrypted and bound to the user, so any instance
 * with the keys rebuilds the session. No database, no request that is under way, no replay, no `session.state`: what is not
 * in the handshake stays on the instance where it was. An ended id is refused only by the instance where it ended, and only
 * while that instance lives.
 *
 * An id is `v1.` and base64url of nonce (12 bytes), ciphertext and tag (AES-256-GCM); the plaintext is deflated JSON of the
 * handshake, the user and the time of the seal. Decoders of base64url skip padding, stray characters and unused bits, so the same
 * bytes have endless spellings: only the canonical one is an id. Ends are remembered by nonce.
 */
import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { type InitializeRequestParams, isInitializeRequest } from '@modelcontextprotocol/server';
import { optionInvalid, sealTooLong } from '../errors.ts';
import { isObject } from '../protocol/jsonrpc.ts';
import { base64url, systemRandom, systemTime } from '../options/system.ts';
import type { EndReason, SessionIdGenerator, SessionMigrationHandler, TimeProvider } from '../types.ts';

export interface SealedSessionsOptions {
  /** Each at least 32 bytes, the same on every instance. The first seals, all open: rotate by putting the new one in front. */
  keys: readonly (string | Uint8Array)[];
  /** ms after which an id no longer rebuilds a session. Default 86,400,000 (24 h). */
  maxAgeMs?: number | undefined;
  /** Default: the system's. */
  timeProvider?: Pick<TimeProvider, 'now'> | undefined;
}

/** Spread into the options of `createMcpEndpoint`. */
export interface SealedSessions {
  readonly sessionIdGenerator: SessionIdGenerator;
  readonly sessionMigrationHandler: SessionMigrationHandler;
  readonly limits: { readonly sessionIdLength: number };
}

/** Room for the handshakes of real clients, and below the 8 KiB that proxies allow a header. */
const ID_LENGTH = 4_096;
const DAY_MS = 86_400_000;
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const PREFIX = 'v1.';
/** Domain separation: the same secret may serve `requestStateKeys` too. */
const LABEL = 'sojourn sealed sessions v1';
/** Ends that are remembered, each at most `maxAgeMs`; past it the oldest is forgotten. As many as `limits.tombstones`. */
const ENDS_KEPT = 100_000;
/** Far more than an id of the allowed length can hold in good faith. */
const INFLATED_MAX = 262_144;

/** What became of the session of an id, as the instance that ended it knows. */
class Ends {
  readonly #now: () => number;
  readonly #maxAgeMs: number;
  /** When each nonce's session ended; oldest first. */
  readonly #at = new Map<string, number>();

  constructor(now: () => number, maxAgeMs: number) {
    this.#now = now;
    this.#maxAgeMs = maxAgeMs;
  }

  add(id: string): void {
    const nonce = nonceOf(id);
    if (nonce === undefined) return;
    const now = this.#now();
    this.#at.set(nonce, now);
    for (const [oldest, at] of this.#at) {
      // An id that old rebuilds nothing anyway.
      if (this.#at.size <= ENDS_KEPT && now - at <= this.#maxAgeMs) break;
      this.#at.delete(oldest);
    }
  }

  has(id: string): boolean {
    const nonce = nonceOf(id);
    return nonce !== undefined && this.#at.has(nonce);
  }
}

interface Sealed {
  readonly params: InitializeRequestParams;
  readonly user: string | null;
  readonly at: number;
}

/** @throws TypeError or RangeError when a key is too short or `maxAgeMs` is no number of ms. */
export function sealedSessions({
  keys,
  maxAgeMs = DAY_MS,
  timeProvider = systemTime,
}: SealedSessionsOptions): SealedSessions {
  const [first, ...others] = deriveKeys(keys);
  if (first === undefined) throw optionInvalid('range', 'keys', keys, 'at least one key of 32 bytes or more');
  if (typeof maxAgeMs !== 'number' || !(maxAgeMs > 0)) throw optionInvalid('range', 'maxAgeMs', maxAgeMs, 'ms above 0');
  const ends = new Ends(() => timeProvider.now(), maxAgeMs);
  return {
    limits: { sessionIdLength: ID_LENGTH },
    sessionIdGenerator: ({ params, user }) => {
      const id = seal(first, { params, user: user ?? null, at: timeProvider.now() });
      if (id.length > ID_LENGTH) throw sealTooLong(id.length, ID_LENGTH);
      return id;
    },
    sessionMigrationHandler: {
      onSessionEnded: (id, reason) => {
        if (isFinal(reason)) ends.add(id);
      },
      allowSessionMigration: ({ user }, id) => {
        if (ends.has(id)) return null;
        for (const key of [first, ...others]) {
          const sealed = open(key, id);
          if (sealed === undefined) continue;
          const age = timeProvider.now() - sealed.at;
          return age <= maxAgeMs && sealed.user === (user ?? null) ? sealed.params : null;
        }
        return null;
      },
    },
  };
}

/** A store in memory loses its sessions with its endpoint: their ids are to rebuild them on the next one. */
function isFinal(reason: EndReason): boolean {
  return reason !== 'store_lost';
}

/** The bytes of an id in its canonical spelling; `undefined`: it is no id. */
function bytesOf(id: string): Buffer | undefined {
  if (!id.startsWith(PREFIX)) return undefined;
  const text = id.slice(PREFIX.length);
  const bytes = Buffer.from(text, 'base64url');
  return bytes.length > NONCE_BYTES + TAG_BYTES && bytes.toString('base64url') === text ? bytes : undefined;
}

function nonceOf(id: string): string | undefined {
  return bytesOf(id)?.toString('base64url', 0, NONCE_BYTES);
}

function deriveKeys(keys: readonly (string | Uint8Array)[]): Uint8Array[] {
  if (!Array.isArray(keys)) throw optionInvalid('type', 'keys', keys, 'a list of strings or Uint8Arrays');
  return keys.map((key: unknown, n) => {
    if (typeof key !== 'string' && !(key instanceof Uint8Array)) {
      throw optionInvalid('type', `keys[${n}]`, key, 'a string or a Uint8Array');
    }
    const secret = typeof key === 'string' ? Buffer.from(key) : key;
    // A key never stands in a message: its length says enough.
    if (secret.length < KEY_BYTES)
      throw optionInvalid('range', `keys[${n}]`, `${secret.length} bytes`, 'at least 32 bytes');
    return new Uint8Array(hkdfSync('sha256', secret, '', LABEL, KEY_BYTES));
  });
}

function seal(key: Uint8Array, sealed: Sealed): string {
  const nonce = systemRandom(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  const plain = deflateRawSync(JSON.stringify(sealed));
  return PREFIX + base64url(Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]));
}

/** `undefined`: not sealed with this key. */
function open(key: Uint8Array, id: string): Sealed | undefined {
  const bytes = bytesOf(id);
  if (bytes === undefined) return undefined;
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES));
  decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
  try {
    const plain = Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
    const value: unknown = JSON.parse(inflateRawSync(plain, { maxOutputLength: INFLATED_MAX }).toString());
    return isSealed(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isSealed(value: unknown): value is Sealed {
  if (!isObject(value) || typeof value['at'] !== 'number') return false;
  return isInitializeRequest({ method: 'initialize', params: value['params'] });
}
