/**
 * What the store keeps of 2026-07-28 calls that can be resumed (`resumable-calls.ts`). Each call has one record in a
 * deployment beside that of the sessions, so that no listing, sweep or hook of sessions meets it. The record's id is
 * a hash of the secret, its owner the instance that runs the call, and its log holds the answer and nothing else.
 *
 *     created ──answered──▶ answered ──expired──▶ gone
 *        │ ╰──its owner drains──▶ without owner ──claimed──▶ runs again
 *        ╰────its owner is dead──────────────────╯
 */
import { createHash } from 'node:crypto';
import type { HeaderFields } from '../../http/exchange.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import { within } from '../../options/system.ts';
import { isObject, type RpcRequest } from '../../protocol/jsonrpc.ts';
import { postStreamKey } from '../../session/streams/event-id.ts';
import { sessionHash } from '../../shown.ts';
import {
  type Fence,
  isEnded,
  type MaybePromise,
  type OpenStore,
  RECORD_VERSION,
  type StoredRecord,
} from '../../stores/store.ts';

/** How long a record lasts that its owner does not extend: longer than any instance takes to be found dead. */
export const RECORD_MS = 300_000;
/** Most of these writes take a few ms. The head of a response does not wait longer than this for its record. */
const CREATE_MS = 500;
/** A longer request is not kept, so it is not run again. */
const KEPT_REQUEST_LENGTH = 65_536;

/** A request as the instance needs it that runs it again. Never holds a token. */
export interface KeptCall {
  readonly url: string;
  readonly absoluteUrl: string;
  /** The fields that instances relay to each other. */
  readonly headers: HeaderFields;
  /** A digest of the caller's rights (`session/calls/rights.ts`); absent: an anonymous caller. */
  readonly rights?: string;
  /** Absent: too long to be kept. */
  readonly request?: RpcRequest;
}

export interface CallRecord {
  readonly key: string;
  readonly epoch: number;
  readonly owner: string | null;
  readonly user: string | undefined;
  readonly version: string;
  readonly kept: KeptCall | undefined;
}

/** The id of a call's record: who reads the store cannot fetch an answer with it. */
export function callKey(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url');
}

export class CallRecords {
  readonly #store: OpenStore;
  readonly #options: ResolvedOptions;

  constructor(store: OpenStore, options: ResolvedOptions) {
    this.#store = store;
    this.#options = options;
  }

  /** `false`: the store did not take it in time, so this call cannot be resumed. */
  async create(call: Omit<CallRecord, 'epoch' | 'kept'> & { readonly kept: KeptCall }): Promise<boolean> {
    const { key, owner, user, version, kept } = call;
    const { timeProvider, logger } = this.#options;
    const whole = JSON.stringify(kept);
    const { request: _, ...rest } = kept;
    const text = whole.length > KEPT_REQUEST_LENGTH ? JSON.stringify(rest) : whole;
    const now = timeProvider.now();
    const create = async (): Promise<boolean> => {
      const outcome = await this.#store.sessions.create(
        {
          v: RECORD_VERSION,
          id: key,
          epoch: 1,
          owner,
          user: user ?? null,
          head: version,
          body: text,
          fields: {},
          createdAt: now,
          stamp: now,
        },
        RECORD_MS,
      );
      return outcome === 'created';
    };
    const created = create().catch((err: unknown) => {
      logger.debug({ err, call: sessionHash(key) }, 'A call could not be recorded: it cannot be resumed');
      return false;
    });
    return within(timeProvider, CREATE_MS, created, () => false);
  }

  /** `undefined`: there is none, it has expired, or it belongs to another user. */
  async read(key: string, user: string | undefined): Promise<CallRecord | undefined> {
    const record = await this.#store.sessions.read(key);
    if (record === undefined || isEnded(record) || record.user !== (user ?? null)) return undefined;
    return { key, epoch: record.epoch, owner: record.owner, user, version: record.head, kept: keptOf(record) };
  }

  /** The JSON text of the answer; `undefined`: there is none yet. */
  async answer({ key, epoch }: CallRecord): Promise<string | undefined> {
    const outcome = await this.#store.events.replay(key, postStreamKey(epoch, 0), -1);
    return outcome.found ? outcome.events.at(-1)?.data : undefined;
  }

  /** `undefined`: another instance claimed it. */
  async claim({ key, epoch, owner }: CallRecord, me: string): Promise<Fence | undefined> {
    const outcome = await this.#store.sessions.claim(key, { epoch, owner }, me);
    return outcome.claimed ? { epoch: outcome.record.epoch, owner: me } : undefined;
  }

  /** Stores the answer, and keeps the record for `keptMs` from now. */
  async finish(key: string, fence: Fence, json: string, keptMs: number): Promise<void> {
    const { events, sessions } = this.#store;
    const stream = postStreamKey(fence.epoch, 0);
    await this.#attempt(key, 'The answer of a call could not be stored', () =>
      events.append({ sessionId: key, fence, stream, from: 0, events: [json], complete: true }),
    );
    await this.#attempt(key, 'The end of a call could not be stored', () =>
      sessions.save(key, fence, { expiresInMs: keptMs }),
    );
  }

  async extend(key: string, fence: Fence): Promise<void> {
    await this.#attempt(key, 'The record of a call could not be extended', () =>
      this.#store.sessions.save(key, fence, { expiresInMs: RECORD_MS }),
    );
  }

  /** Another instance may run the call again. */
  async release(key: string, fence: Fence): Promise<void> {
    await this.#attempt(key, 'A call could not be handed over', () => this.#store.sessions.release(key, fence));
  }

  async end(key: string, fence: Fence): Promise<void> {
    await this.#attempt(key, 'The end of a call could not be stored', () =>
      this.#store.sessions.end(key, fence, 'terminated'),
    );
  }

  /** Ends the records that have expired, at most `limit` of them. Resolves with how many were ended. */
  async sweep(limit: number): Promise<number> {
    const { sessions, events } = this.#store;
    let ended = 0;
    for (const { id, epoch, owner } of await sessions.expired(limit))
      if ((await sessions.end(id, { epoch, owner }, 'idle')) === 'ended') ended += 1;
    await events.trim();
    return ended;
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  /** The record expires by itself, so a write that fails costs at most the call. */
  async #attempt(key: string, what: string, write: () => MaybePromise<unknown>): Promise<void> {
    try {
      await write();
    } catch (err) {
      this.#options.logger.warn({ err, call: sessionHash(key) }, what);
    }
  }
}

function keptOf({ body }: StoredRecord): KeptCall | undefined {
  try {
    const kept: unknown = JSON.parse(body);
    return isObject(kept) && isObject(kept['headers']) ? (kept as unknown as KeptCall) : undefined;
  } catch {
    return undefined;
  }
}
