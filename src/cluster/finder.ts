/**
 * Finds where a session lives, on the instance that received the request:
 *
 *     live here ─▶ here, once it is claimed for the present id of this instance
 *     ended ─▶ 404        no record ─▶ ask the migration handler, null ─▶ 404
 *     owner alive ─▶ there (relay)
 *     no owner, a dead owner, or this instance without a copy ─▶ claim, restore ─▶ here
 *     the same, while this instance drains and another one serves ─▶ there: that one claims
 *
 * After a lost claim the record is read again. Concurrent finds of one session share one restore. The migration handler
 * is asked for one request at a time: a refusal of one caller never answers another caller, and the first acceptance
 * ends the queue.
 */
import { type InitializeRequestParams, isInitializeRequest } from '@modelcontextprotocol/server';
import {
  draining,
  lapsed,
  migrationFailed,
  otherUser,
  restoreFailed,
  sessionNotFound,
  SojournError,
  storeAway,
} from '../errors.ts';
import { isObject } from '../protocol/jsonrpc.ts';
import { RecordQueues } from '../stores/shared/record-queues.ts';
import { isEnded, type StoredRecord } from '../stores/store.ts';
import { within } from '../base/system.ts';
import { endsSession, type Inbound } from '../inbound/inbound.ts';
import { inHookTimeWith, isHookTimeout } from '../session/hook-time.ts';
import { type Handshake, handshakeIn } from '../session/record/handshake.ts';
import type { Registry } from '../session/registry.ts';
import type { LiveSession } from '../session/session.ts';
import type { Instance } from './instance.ts';
import type { CallerRequest } from '../http/caller-request.ts';
import type { Restorer } from './restorer.ts';

/** `record`: the session is live on no instance and need not be, because its record is enough to end it. */
export type FoundSession =
  | { readonly here: LiveSession }
  | { readonly there: string }
  | { readonly record: StoredRecord };

/** Claims lost in a row before the client gets a retryable error. */
const TRIES = 5;

export class Finder {
  readonly #registry: Registry;
  readonly #instance: Instance;
  readonly #restorer: Restorer;
  readonly #migrations = new RecordQueues();

  constructor(registry: Registry, instance: Instance, restorer: Restorer) {
    this.#registry = registry;
    this.#instance = instance;
    this.#restorer = restorer;
  }

  /** To end a session restores nothing, and does not ask the migration handler. */
  async find(id: string, { kind, caller }: Pick<Inbound, 'kind' | 'caller'>): Promise<FoundSession> {
    const ends = endsSession({ kind });
    const { lease, links } = this.#instance;
    for (let tries = 0; tries < TRIES; tries++) {
      await this.#registry.leaving.closing(id);
      const live = this.#registry.get(id);
      if (live?.ownership.leaseValid === true) return { here: live };
      if (live !== undefined) {
        await this.#untilClaimed(live);
        continue;
      }
      const record = await this.#read(id);
      if (this.#registry.get(id) !== undefined || this.#registry.leaving.closing(id) !== undefined) continue;
      if (record === undefined) {
        if (ends) throw sessionNotFound();
        const migrated = await this.#queueMigration(id, caller);
        if (migrated !== undefined) return { here: migrated };
        continue;
      }
      // Check before a restore: another user's request must not wake a session.
      if (kind !== 'terminate' && record.user !== (caller.user ?? null)) throw otherUser();
      const { owner } = record;
      if (owner !== null && owner !== lease.id && (await links.isAlive(owner))) return { there: owner };
      // The session is recorded but not registered yet. Wait for the adoption here instead of claiming the session away
      // from it.
      const adopting = this.#migrations.last(id);
      if (adopting !== undefined) {
        await adopting;
        continue;
      }
      const restoring = this.#restorer.restoring(id);
      if (ends) {
        if (restoring === undefined) return { record };
        await restoring.catch(() => {});
        continue;
      }
      if (this.#registry.lifecycle.prefersOthers && restoring === undefined) {
        const other = await this.#instance.otherServing();
        if (other !== undefined) {
          if (owner === lease.id)
            await this.#registry.store.sessions.save(id, { epoch: record.epoch, owner }, { release: true });
          return { there: other };
        }
        // The last instance keeps serving, including sessions that another instance released while it left.
        const { refusal } = this.#registry.lifecycle;
        if (refusal !== undefined) throw refusal;
      }
      // The request waits: an owner that is alive keeps the calls that it runs.
      const { waitMs } = this.#registry.options;
      if (owner !== null && restoring === undefined && waitMs > 0 && lease.ownersMayReturn) throw lapsed();
      await this.#restorer.restore(record, caller);
    }
    const live = this.#registry.get(id);
    if (live !== undefined) return { here: live };
    throw restoreFailed();
  }

  /** After a lapse: resolves when a live session is claimed for the new id of this instance, or has left it. */
  async #untilClaimed(session: LiveSession): Promise<void> {
    const { timeProvider, leaseMs } = this.#registry.options;
    await within(timeProvider, leaseMs, session.ownership.untilLeaseValid(), () => {
      throw lapsed();
    });
  }

  async #read(id: string): Promise<StoredRecord | undefined> {
    let record;
    try {
      record = await this.#registry.store.sessions.read(id);
    } catch (cause) {
      throw cause instanceof SojournError ? cause : storeAway('reading a session', cause);
    }
    if (record !== undefined && isEnded(record)) throw sessionNotFound();
    return record;
  }

  /** `undefined`: look again. Throws the 404 when the migration handler refuses. */
  #queueMigration(id: string, caller: CallerRequest): Promise<LiveSession | undefined> {
    if (this.#registry.options.sessionMigrationHandler === undefined) throw sessionNotFound();
    const waits = this.#migrations.last(id) !== undefined;
    return this.#migrations.steps(id, async () => {
      if (waits) {
        const live = this.#registry.get(id);
        if (live !== undefined) return live;
        if ((await this.#read(id)) !== undefined) return undefined;
      }
      return this.#migrate(id, caller);
    });
  }

  async #migrate(id: string, caller: CallerRequest): Promise<LiveSession | undefined> {
    if (this.#registry.lifecycle.prefersOthers) throw draining();
    const handshake = await this.#allow(id, caller);
    if (handshake === undefined) throw sessionNotFound();
    return this.#registry.withPlaces(caller, true, handshake.bytes, () => this.#restorer.adopt(id, handshake, caller));
  }

  async #allow(id: string, caller: CallerRequest): Promise<Handshake | undefined> {
    const { logger, sessionMigrationHandler } = this.#registry.options;
    let params;
    try {
      const hook = { hook: 'sessionMigrationHandler.allowSessionMigration', sessionId: id };
      params = await inHookTimeWith(this.#registry.options, hook, caller.request.signal, (signal) =>
        sessionMigrationHandler?.allowSessionMigration(caller.request, id, signal),
      );
    } catch (cause) {
      if (isHookTimeout(cause)) throw cause;
      logger.error(
        { err: cause, sessionId: id, field: 'allowSessionMigration' },
        'sessionMigrationHandler.allowSessionMigration threw',
      );
      throw migrationFailed(cause);
    }
    if (params === null || params === undefined) return undefined;
    if (!isInitializeRequest({ method: 'initialize', params })) {
      const field = faultyField(params);
      logger.error(
        { sessionId: id, field },
        `sessionMigrationHandler.allowSessionMigration returned what is no InitializeRequestParams: ${field} is missing or wrong`,
      );
      throw migrationFailed();
    }
    return handshakeIn(JSON.stringify(params));
  }
}

function faultyField(params: InitializeRequestParams): string {
  const { protocolVersion, capabilities, clientInfo } = params as Partial<InitializeRequestParams>;
  if (typeof protocolVersion !== 'string') return 'protocolVersion';
  if (typeof clientInfo?.name !== 'string' || typeof clientInfo.version !== 'string') return 'clientInfo';
  return isObject(capabilities) ? 'a member of clientInfo or capabilities' : 'capabilities';
}
