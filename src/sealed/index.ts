/**
 * Sessions without a store. The handshake travels inside the session id, encrypted and bound to the user, so any
 * instance with the keys can rebuild the session.
 *
 * There is no database, no transfer of running requests, no replay and no `session.state` on other instances. Only the
 * instance where a session ended refuses its id, and only while that instance runs.
 *
 * An id is `v1.` and a sealed text (`../protocol/sealed-text.ts`) of the handshake, the user and the time of sealing,
 * as deflated JSON. Ended ids are remembered by nonce.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { type InitializeRequestParams, isInitializeRequest } from '@modelcontextprotocol/server';
import { optionInvalid, sealTooLong } from '../errors.ts';
import { isObject } from '../protocol/jsonrpc.ts';
import { NONCE_BYTES, nonceOf, open, seal, sealingKey } from '../protocol/sealed-text.ts';
import { systemRandom, systemTime } from '../options/system.ts';
import type { EndReason, SessionIdGenerator, SessionMigrationHandler, TimeProvider } from '../types.ts';

export interface SealedSessionsOptions {
  /**
   * Each has at least 32 bytes, and all instances use the same keys. The first key seals, every key opens. To rotate,
   * put the new key in front.
   */
  keys: readonly (string | Uint8Array)[];
  /** ms after which an id no longer rebuilds a session. Default 86,400,000 (24 h). */
  maxAgeMs?: number | undefined;
  /** Default: the system clock. */
  timeProvider?: Pick<TimeProvider, 'now'> | undefined;
}

/** Spread it into the options of `createMcpEndpoint`. */
export interface SealedSessions {
  readonly sessionIdGenerator: SessionIdGenerator;
  readonly sessionMigrationHandler: SessionMigrationHandler;
}

/** Enough for the handshakes of real clients, and below the 8 KiB that proxies allow for a header. */
const ID_LENGTH = 4_096;
const DAY_MS = 86_400_000;
const KEY_BYTES = 32;
const PREFIX = 'v1.';
/** Domain separation, so that the same secret can also be a `requestStateKeys` key. */
const LABEL = 'sojourn sealed sessions v1';
/**
 * How many ended ids are remembered, each for at most `maxAgeMs`; the oldest are forgotten first. The same as
 * `limits.tombstones`.
 */
const MAX_ENDED_IDS = 100_000;
/** Far more than an honest id of the allowed length can hold. */
const INFLATED_MAX = 262_144;

/** The ids whose sessions ended on this instance. */
class EndedIds {
  readonly #now: () => number;
  readonly #maxAgeMs: number;
  /** When the session of each nonce ended, oldest first. */
  readonly #at = new Map<string, number>();

  constructor(now: () => number, maxAgeMs: number) {
    this.#now = now;
    this.#maxAgeMs = maxAgeMs;
  }

  add(id: string): void {
    const nonce = nonceOf(id.slice(PREFIX.length));
    if (nonce === undefined) return;
    const now = this.#now();
    this.#at.set(nonce, now);
    for (const [oldest, at] of this.#at) {
      // An id of that age cannot rebuild a session any more.
      if (this.#at.size <= MAX_ENDED_IDS && now - at <= this.#maxAgeMs) break;
      this.#at.delete(oldest);
    }
  }

  has(id: string): boolean {
    const nonce = nonceOf(id.slice(PREFIX.length));
    return nonce !== undefined && this.#at.has(nonce);
  }
}

interface Sealed {
  readonly params: InitializeRequestParams;
  readonly user: string | null;
  readonly at: number;
}

/** @throws TypeError or RangeError when a key is too short or `maxAgeMs` is not a number of ms above 0. */
export function sealedSessions({
  keys,
  maxAgeMs = DAY_MS,
  timeProvider = systemTime,
}: SealedSessionsOptions): SealedSessions {
  const [first, ...others] = deriveKeys(keys);
  if (first === undefined) throw optionInvalid('range', 'keys', keys, 'at least one key of 32 bytes or more');
  if (typeof maxAgeMs !== 'number' || !(maxAgeMs > 0)) throw optionInvalid('range', 'maxAgeMs', maxAgeMs, 'ms above 0');
  const endedIds = new EndedIds(() => timeProvider.now(), maxAgeMs);
  const generate: SessionIdGenerator = ({ params, user }) => {
    const id = sealedId(first, { params, user: user ?? null, at: timeProvider.now() });
    if (id.length > ID_LENGTH) throw sealTooLong(id.length, ID_LENGTH);
    return id;
  };
  return {
    sessionIdGenerator: Object.assign(generate, { maxLength: ID_LENGTH }),
    sessionMigrationHandler: {
      onSessionEnded: (id, reason) => {
        if (isFinal(reason)) endedIds.add(id);
      },
      allowSessionMigration: ({ user }, id) => {
        if (endedIds.has(id)) return null;
        for (const key of [first, ...others]) {
          const sealed = handshakeIn(key, id);
          if (sealed === undefined) continue;
          const age = timeProvider.now() - sealed.at;
          return age <= maxAgeMs && sealed.user === (user ?? null) ? sealed.params : null;
        }
        return null;
      },
    },
  };
}

/**
 * A memory store loses its sessions when its endpoint closes. Their ids must still rebuild them on the next endpoint.
 */
function isFinal(reason: EndReason): boolean {
  return reason !== 'store_lost';
}

function deriveKeys(keys: readonly (string | Uint8Array)[]): Uint8Array[] {
  if (!Array.isArray(keys)) throw optionInvalid('type', 'keys', keys, 'a list of strings or Uint8Arrays');
  return keys.map((key: unknown, n) => {
    if (typeof key !== 'string' && !(key instanceof Uint8Array)) {
      throw optionInvalid('type', `keys[${n}]`, key, 'a string or a Uint8Array');
    }
    const secret = typeof key === 'string' ? Buffer.from(key) : key;
    // The message shows the length of the key, never the key.
    if (secret.length < KEY_BYTES)
      throw optionInvalid('range', `keys[${n}]`, `${secret.length} bytes`, 'at least 32 bytes');
    return sealingKey(secret, LABEL);
  });
}

function sealedId(key: Uint8Array, sealed: Sealed): string {
  return PREFIX + seal(key, systemRandom(NONCE_BYTES), deflateRawSync(JSON.stringify(sealed)));
}

/** `undefined`: the id was not sealed with this key. */
function handshakeIn(key: Uint8Array, id: string): Sealed | undefined {
  const plain = id.startsWith(PREFIX) ? open(key, id.slice(PREFIX.length)) : undefined;
  if (plain === undefined) return undefined;
  try {
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
