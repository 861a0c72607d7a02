/**
 * Sessions without a store. The handshake travels inside the session id, encrypted and bound to the user, so any
 * instance with the keys can rebuild the session.
 *
 * There is no database, no transfer of running requests, no replay and no `session.state` on other instances. Only the
 * instance where a session ended refuses its id, and only while that instance runs.
 *
 * An id is `v1.` and a sealed text (`../base/protocol/sealed-text.ts`) of the handshake, the user and the time of sealing,
 * as deflated JSON. Ended ids are remembered by digest.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { type InitializeRequestParams, isInitializeRequest } from '@modelcontextprotocol/server';
import { BoundedMap } from '../base/bounded-map.ts';
import { digestText } from '../base/digest.ts';
import { optionInvalid, sealTooLong } from '../base/errors.ts';
import { orUndefined } from '../base/or-undefined.ts';
import { checkKeys, checkMethods, checkNames } from '../base/options/checks.ts';
import { isObject } from '../base/protocol/jsonrpc.ts';
import { NONCE_BYTES, open, seal, sealingKey } from '../base/protocol/sealed-text.ts';
import { systemRandom, systemTime } from '../base/system.ts';
import type { SessionIdGenerator, SessionMigrationHandler, TimeProvider } from '../base/types.ts';

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

const NAMES: ReadonlyArray<keyof SealedSessionsOptions> = ['keys', 'maxAgeMs', 'timeProvider'];
/** Enough for the handshakes of real clients, and below the 8 KiB that proxies allow for a header. */
const ID_LENGTH = 4_096;
const DAY_MS = 86_400_000;
const PREFIX = 'v1.';
/** Domain separation, so that the same secret can also be one of the option `secrets`. */
const LABEL = 'sojourn sealed sessions v1';
/** How many ended ids are remembered, as many as on the memory store. The oldest are forgotten first. */
const MAX_ENDED_IDS = 100_000;
/** Far more than an honest id of the allowed length can hold. */
const INFLATED_MAX = 262_144;

interface Sealed {
  readonly params: InitializeRequestParams;
  readonly user: string | null;
  readonly at: number;
}

/**
 * @throws TypeError or RangeError when a key is too short, `maxAgeMs` is not a number of ms above
 * 0, or a name is unknown.
 */
export function sealedSessions(given: SealedSessionsOptions): SealedSessions {
  const options = checkNames('sealedSessions()', given, NAMES) as unknown as SealedSessionsOptions;
  const { keys, maxAgeMs = DAY_MS, timeProvider = systemTime } = options;
  checkMethods('timeProvider', timeProvider, ['now']);
  const sealingKeys = checkKeys('keys', keys).map((secret) => sealingKey(secret, LABEL));
  if (typeof maxAgeMs !== 'number' || !(maxAgeMs > 0))
    throw optionInvalid('range', 'maxAgeMs', maxAgeMs, 'ms above 0');
  /** The digests of the ids whose sessions ended on this instance. An id has one spelling that opens. */
  const ended = new BoundedMap<string, true>(MAX_ENDED_IDS);
  const generate: SessionIdGenerator = ({ params, userKey: user }) => {
    const id = sealedId(sealingKeys[0] as Uint8Array, {
      params,
      user: user ?? null,
      at: timeProvider.now(),
    });
    if (id.length > ID_LENGTH) throw sealTooLong(id.length, ID_LENGTH);
    return id;
  };
  return {
    sessionIdGenerator: Object.assign(generate, { maxLength: ID_LENGTH }),
    sessionMigrationHandler: {
      onSessionEnded: (id, reason) => {
        // A memory store loses its sessions when its endpoint closes. Their ids must still work on the next endpoint.
        if (reason !== 'endpoint_closed') ended.set(digestText(id), true);
      },
      allowSessionMigration: ({ userKey: user }, id) => {
        if (ended.has(digestText(id))) return null;
        for (const key of sealingKeys) {
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

function sealedId(key: Uint8Array, sealed: Sealed): string {
  return PREFIX + seal(key, systemRandom(NONCE_BYTES), deflateRawSync(JSON.stringify(sealed)));
}

/** `undefined`: the id was not sealed with this key. */
function handshakeIn(key: Uint8Array, id: string): Sealed | undefined {
  const plain = id.startsWith(PREFIX) ? open(key, id.slice(PREFIX.length)) : undefined;
  if (plain === undefined) return undefined;
  const value: unknown = orUndefined(
    () =>
      JSON.parse(inflateRawSync(plain, { maxOutputLength: INFLATED_MAX }).toString()) as unknown,
  );
  return isSealed(value) ? value : undefined;
}

function isSealed(value: unknown): value is Sealed {
  if (!isObject(value) || typeof value['at'] !== 'number') return false;
  return isInitializeRequest({ method: 'initialize', params: value['params'] });
}
