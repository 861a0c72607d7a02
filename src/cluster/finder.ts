/**
 * Finds where a session lives, on the instance that received the request:
 *
 *     live here ─▶ here, once it is claimed for the present id of this instance
 *     ended ─▶ 404
 *     no record ─▶ ask the migration handler: null ─▶ 404, a handshake ─▶ a record without a copy
 *     owner alive ─▶ there (relay)
 *     no owner, a dead owner, or this instance without a copy ─▶ claim, restore ─▶ here
 *     the same, while this instance drains and another one serves ─▶ there: that one claims
 *
 * It looks once. After a lost claim or an accepted migration the router looks again. Concurrent finds of one session
 * share one restore. The migration handler is asked for one request at a time: a refusal of one caller never answers
 * another caller, and the first acceptance ends the queue.
 */
import { type InitializeRequestParams, isInitializeRequest } from '@modelcontextprotocol/server';
import {
  draining,
  leaseLost,
  migrationFailed,
  otherUser,
  sessionNotFound,
  SojournError,
  storeUnavailable,
} from '../base/errors.ts';
import { shareKey } from '../base/budget.ts';
import { isObject } from '../base/protocol/jsonrpc.ts';
import { RecordQueues } from '../stores/shared/record-queues.ts';
import { type CreateOutcome, isEnded, type StoredRecord } from '../stores/store.ts';
import { within } from '../base/system.ts';
import { endsSession, type Inbound } from '../session/inbound/inbound.ts';
import { inHookTimeWith, isHookTimeout } from '../base/hook-time.ts';
import { type Handshake, handshakeIn } from '../session/record/handshake.ts';
import { keepUnlessForgotten } from '../session/record/forgotten-users.ts';
import { NO_ANSWER } from '../session/record/server-answer.ts';
import { encodeSession } from '../session/record/session-record.ts';
import type { Registry } from '../session/registry.ts';
import type { LiveSession } from '../session/session.ts';
import type { OwnerDirectory } from './owner-directory.ts';
import type { CallerRequest } from '../http/caller-request.ts';
import type { Restorer } from './restorer.ts';

/** `record`: the session is live on no instance and need not be, because its record is enough to end it. */
export type FoundSession =
  | { readonly here: LiveSession }
  | { readonly there: string }
  | { readonly record: StoredRecord };

export class Finder {
  readonly #registry: Registry;
  readonly #directory: OwnerDirectory;
  readonly #restorer: Restorer;
  readonly #migrations = new RecordQueues();

  constructor(registry: Registry, directory: OwnerDirectory, restorer: Restorer) {
    this.#registry = registry;
    this.#directory = directory;
    this.#restorer = restorer;
  }

  /**
   * `undefined`: the session or its record has changed while it was read, so look again. To end a
   * session restores nothing, and does not ask the migration handler.
   */
  async find(
    id: string,
    { kind, caller }: Pick<Inbound, 'kind' | 'caller'>,
  ): Promise<FoundSession | undefined> {
    const ends = endsSession({ kind });
    await this.#registry.leaving.closing(id);
    const live = this.#registry.get(id);
    if (live !== undefined) {
      if (!live.ownership.leaseValid) await this.#untilClaimed(live);
      return { here: live };
    }
    const record = await this.#read(id);
    if (this.#registry.get(id) !== undefined || this.#registry.leaving.closing(id) !== undefined)
      return undefined;
    if (record === undefined) {
      if (ends) throw sessionNotFound();
      await this.#migrate(id, caller);
      return undefined;
    }
    // Check before a restore: another user's request must not wake a session.
    if (kind !== 'terminate' && record.user !== (caller.userKey ?? null)) throw otherUser();
    const owner = await this.#directory.ownerOf(record);
    if (owner === 'alive' && record.owner !== null) return { there: record.owner };
    const restoring = this.#restorer.restoring(id);
    if (ends) {
      if (restoring === undefined) return { record };
      await restoring.catch(() => {});
      return undefined;
    }
    if (restoring === undefined) {
      const there = await this.#directory.leftTo(this.#registry.store.sessions, record);
      if (there !== undefined) return { there };
      // The request waits: an owner that is alive keeps the calls that it runs.
      if (owner === 'returning' && this.#registry.options.maxWaitMs > 0) throw leaseLost();
    }
    await this.#restorer.restore(record, caller);
    // After a lost claim it is not live here.
    const restored = this.#registry.get(id);
    return restored && { here: restored };
  }

  /** After a lapse: resolves when a live session is claimed for the new id of this instance, or has left it. */
  async #untilClaimed(session: LiveSession): Promise<void> {
    const { timeProvider, leaseMs } = this.#registry.options;
    await within(timeProvider, leaseMs, session.ownership.untilLeaseValid(), () => {
      throw leaseLost();
    });
  }

  async #read(id: string): Promise<StoredRecord | undefined> {
    let record;
    try {
      record = await this.#registry.store.sessions.read(id);
    } catch (cause) {
      throw cause instanceof SojournError ? cause : storeUnavailable('reading a session', cause);
    }
    if (record !== undefined && isEnded(record)) throw sessionNotFound();
    return record;
  }

  /** Resolves when there is a record, which a restore then takes. Throws the 404 when the migration handler refuses. */
  #migrate(id: string, caller: CallerRequest): Promise<void> {
    if (this.#registry.options.sessionMigrationHandler === undefined) throw sessionNotFound();
    const waits = this.#migrations.last.has(id);
    return this.#migrations.steps(id, async () => {
      if (waits && (await this.#read(id)) !== undefined) return;
      if (this.#registry.lifecycle.prefersOthers) throw draining();
      const handshake = await this.#allow(id, caller);
      const registry = this.#registry;
      const share = shareKey(caller.userKey, caller.clientAddress);
      await registry.withPlaces(caller, handshake.bytes, () =>
        registry.stored.admit(share, () => this.#adopt(id, handshake, caller)),
      );
    });
  }

  /**
   * Stores a session of another deployment, bound to the user of this request. Its server has not answered yet, and any
   * instance may restore it.
   */
  async #adopt(
    id: string,
    handshake: Handshake,
    { userKey: user, clientAddress }: CallerRequest,
  ): Promise<void> {
    const { hibernated, options, store } = this.#registry;
    const createdAt = options.timeProvider.now();
    const { protocolVersion: version } = handshake.params;
    const head = { version, initialized: true, logLevel: null, answer: NO_ANSWER };
    const share = shareKey(user, clientAddress);
    const record = encodeSession(
      { id, userKey: user, share, handshake, createdAt },
      { epoch: 1, owner: null },
      head,
      {},
    );
    // The session counts as hibernated until its restore takes it.
    hibernated.add({ id, bytes: handshake.bytes, share }, record.stamp);
    let outcome: CreateOutcome | undefined;
    try {
      const created = await store.sessions.create(record, this.#registry.expiresInMs());
      if (record.user !== null && created === 'created')
        await keepUnlessForgotten(store, store.sessions, record);
      outcome = created;
    } finally {
      if (outcome !== 'created') hibernated.delete(id);
    }
  }

  async #allow(id: string, caller: CallerRequest): Promise<Handshake> {
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
    if (params === null || params === undefined) throw sessionNotFound();
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
  if (typeof clientInfo?.name !== 'string' || typeof clientInfo.version !== 'string')
    return 'clientInfo';
  return isObject(capabilities) ? 'a member of clientInfo or capabilities' : 'capabilities';
}
