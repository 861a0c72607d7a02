/**
 * Finds where a session lives, on the instance that got the request:
 *
 *     live here ─▶ here
 *     ended ─▶ 404        no record ─▶ ask the migration handler, null ─▶ 404
 *     owner alive ─▶ there (relay)
 *     owner none, dead, or me without a copy ─▶ claim, restore ─▶ here
 *
 * A lost claim reads again. Finds of one session share one restore. The migration handler is asked for one request at a
 * time: its no to one caller is never the answer to another, its first yes ends the queue.
 */
import { type InitializeRequestParams, isInitializeRequest } from '@modelcontextprotocol/server';
import {
  draining,
  migrationFailed,
  otherUser,
  restoreFailed,
  sessionNotFound,
  SojournError,
  storeAway,
} from '../errors.ts';
import { isObject } from '../jsonrpc.ts';
import type { ResolvedOptions } from '../options.ts';
import { isEnded, type OpenStore, type SessionRecord } from '../stores/store.ts';
import type { EndReason, McpHttpRequest } from '../types.ts';
import type { SessionBuilder } from '../session/builder.ts';
import { handshakeOf } from '../session/builder.ts';
import type { MessageSource } from '../session/context.ts';
import { GET_STREAM } from '../session/event-id.ts';
import type { Registry } from '../session/registry.ts';
import type { LiveSession } from '../session/session.ts';
import type { Instance } from './instance.ts';

export type Found = { readonly here: LiveSession } | { readonly there: string };

/** A session that is live nowhere and need not be: its record is enough to end it. */
export type FoundToEnd = Found | { readonly record: SessionRecord };

export interface Caller extends MessageSource {
  readonly request: McpHttpRequest;
  readonly user: string | undefined;
  readonly signal: AbortSignal;
}

/** Claims lost in a row before the client is asked to come back. */
const TRIES = 5;

export class Finder {
  readonly #options: ResolvedOptions;
  readonly #store: OpenStore;
  readonly #registry: Registry;
  readonly #builder: SessionBuilder;
  readonly #instance: Instance;
  readonly #restoring = new Map<string, Promise<void>>();
  readonly #migrating = new Map<string, Promise<unknown>>();
  /** Set while draining: nothing is claimed any more. */
  draining = false;
  /** Set when drained or closed: what was still being restored then is given back, with this error. */
  stopped: (() => SojournError) | undefined = undefined;

  constructor(
    options: ResolvedOptions,
    store: OpenStore,
    registry: Registry,
    builder: SessionBuilder,
    instance: Instance,
  ) {
    this.#options = options;
    this.#store = store;
    this.#registry = registry;
    this.#builder = builder;
    this.#instance = instance;
  }

  async find(id: string, caller: Caller): Promise<Found> {
    const found = await this.#find(id, caller, false);
    if ('record' in found) throw restoreFailed();
    return found;
  }

  /** For DELETE: nothing is restored, and the migration handler is not asked. */
  findToEnd(id: string, caller: Caller): Promise<FoundToEnd> {
    return this.#find(id, caller, true);
  }

  async #find(id: string, caller: Caller, toEnd: boolean): Promise<FoundToEnd> {
    for (let tries = 0; tries < TRIES; tries++) {
      await this.#registry.closing(id);
      const live = this.#registry.get(id);
      if (live !== undefined) return { here: live };
      const record = await this.#read(id);
      if (record === undefined) {
        if (toEnd) throw sessionNotFound();
        const migrated = await this.#queueMigration(id, caller);
        if (migrated !== undefined) return { here: migrated };
        continue;
      }
      // Before a restore: another user's request must not wake a session.
      if (record.user !== (caller.user ?? null)) throw otherUser();
      const { owner } = record;
      if (owner !== null && owner !== this.#instance.id && (await this.#instance.isAlive(owner)))
        return { there: owner };
      // Recorded, but not in the registry yet: whoever adopts it here is waited for, not claimed away from.
      const adopting = this.#migrating.get(id);
      if (adopting !== undefined) {
        await adopting.catch(() => {});
        continue;
      }
      const restoring = this.#restoring.get(id);
      if (toEnd) {
        if (restoring === undefined) return { record };
        await restoring.catch(() => {});
        continue;
      }
      if (this.draining && restoring === undefined) {
        if (owner === this.#instance.id) await this.#store.sessions.release(id, { epoch: record.epoch, owner });
        const other = await this.#instance.otherServing();
        if (other === undefined) throw draining();
        return { there: other };
      }
      await this.#restore(record, caller);
    }
    const live = this.#registry.get(id);
    if (live !== undefined) return { here: live };
    throw restoreFailed();
  }

  /** Ends a session that is not live here, wherever it is; `false`: there is nothing to end. */
  async terminate(id: string): Promise<boolean> {
    for (let tries = 0; tries < TRIES; tries++) {
      await this.#registry.closing(id);
      const record = await this.#store.sessions.read(id);
      if (record === undefined || isEnded(record)) return false;
      const { owner } = record;
      if (owner !== null && owner !== this.#instance.id && (await this.#instance.isAlive(owner))) {
        const ended = await this.#instance.terminate(owner, id);
        if (ended !== undefined) return ended;
        continue;
      }
      // Restoring here right now: wait for it and end it where it lives.
      await this.#restoring.get(id)?.catch(() => {});
      const live = this.#registry.get(id);
      if (live !== undefined) {
        if (await this.#registry.end(live, 'terminated')) return true;
        continue;
      }
      if (await this.end(record, 'terminated')) return true;
    }
    throw storeAway('ending a session', undefined);
  }

  /** Ends a session that is live nowhere; `false`: look again. */
  end({ id, epoch, owner }: SessionRecord, reason: EndReason): Promise<boolean> {
    return this.#registry.endRecord(id, owner === this.#instance.id ? { epoch, owner } : null, reason);
  }

  async #read(id: string): Promise<SessionRecord | undefined> {
    let record;
    try {
      record = await this.#store.sessions.read(id);
    } catch (cause) {
      throw cause instanceof SojournError ? cause : storeAway('reading a session', cause);
    }
    if (record !== undefined && isEnded(record)) throw sessionNotFound();
    return record;
  }

  #restore(record: SessionRecord, caller: Caller): Promise<void> {
    const running = this.#restoring.get(record.id);
    if (running !== undefined) return running;
    const restoring = this.#claimAndRestore(record, caller).finally(() => this.#restoring.delete(record.id));
    this.#restoring.set(record.id, restoring);
    return restoring;
  }

  /** Resolves without a live session when the claim was lost: the caller reads again. */
  async #claimAndRestore(record: SessionRecord, caller: Caller): Promise<void> {
    const release = await this.#registry.reserve();
    try {
      const outcome = await this.#store.sessions.claim(record.id, record.epoch, this.#instance.id);
      if (!outcome.claimed) return;
      await this.#add(await this.#rebuild(outcome.record, caller), 'takeover');
    } finally {
      release();
    }
  }

  async #add(session: LiveSession, cause: 'takeover' | 'migration'): Promise<void> {
    this.#registry.add(session, 'restored', cause);
    if (this.stopped === undefined) return;
    await this.#registry.release(session, 'released');
    throw this.stopped();
  }

  async #rebuild(record: SessionRecord, caller: Caller): Promise<LiveSession> {
    const fence = { epoch: record.epoch, owner: this.#instance.id };
    const open = await this.#store.events.open(record.id);
    let session: LiveSession | undefined;
    try {
      session = await this.#builder.connect(
        {
          id: record.id,
          epoch: record.epoch,
          owner: this.#instance.id,
          user: record.user ?? undefined,
          handshake: record.handshake,
          createdAt: record.createdAt,
          record,
          getNext: open.find(({ stream }) => stream === GET_STREAM)?.next ?? 0,
        },
        caller,
        true,
        caller.signal,
      );
      const { version, answerJson } = await this.#builder.replay(session, record, caller);
      if (version !== record.version) {
        this.#options.logger.warn(
          { sessionId: record.id, negotiated: record.version, answered: version },
          'The rebuilt server no longer speaks the negotiated protocol version; the session ends',
        );
        await session.leave('server_closed');
        await this.#registry.endRecord(record.id, fence, 'server_closed');
        throw sessionNotFound();
      }
      session.serverChanged(answerJson);
      return session;
    } catch (cause) {
      if (cause instanceof SojournError && cause.code === 'SESSION_NOT_FOUND') throw cause;
      this.#options.logger.error(
        { err: cause, sessionId: record.id },
        'A session could not be restored here; it is kept',
      );
      await session?.leave('released');
      await this.#store.sessions.release(record.id, fence);
      throw restoreFailed(cause);
    }
  }

  /** `undefined`: look again. Throws the 404 when the handler says no. */
  async #queueMigration(id: string, caller: Caller): Promise<LiveSession | undefined> {
    const handler = this.#options.sessionMigrationHandler;
    if (handler === undefined) throw sessionNotFound();
    const before = this.#migrating.get(id);
    const turn = (async () => {
      await before?.catch(() => {});
      if (before !== undefined) {
        const live = this.#registry.get(id);
        if (live !== undefined) return live;
        if ((await this.#read(id)) !== undefined) return undefined;
      }
      return this.#migrate(id, caller);
    })();
    this.#migrating.set(id, turn);
    try {
      return await turn;
    } finally {
      if (this.#migrating.get(id) === turn) this.#migrating.delete(id);
    }
  }

  async #migrate(id: string, caller: Caller): Promise<LiveSession | undefined> {
    if (this.draining) throw draining();
    const params = await this.#allow(id, caller);
    if (params === undefined) throw sessionNotFound();
    const release = await this.#registry.reserve();
    try {
      return await this.#adopt(id, params, caller);
    } finally {
      release();
    }
  }

  async #allow(id: string, caller: Caller): Promise<InitializeRequestParams | undefined> {
    const { logger, sessionMigrationHandler } = this.#options;
    let params;
    try {
      params = await sessionMigrationHandler?.allowSessionMigration(caller.request, id, caller.signal);
    } catch (cause) {
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
    return params;
  }

  /** A session of another deployment becomes one of ours, bound to the user who brings it. */
  async #adopt(id: string, params: InitializeRequestParams, caller: Caller): Promise<LiveSession | undefined> {
    const now = this.#options.timeProvider.now();
    let session: LiveSession | undefined;
    try {
      session = await this.#builder.connect(
        {
          id,
          epoch: 1,
          owner: this.#instance.id,
          user: caller.user,
          handshake: handshakeOf(params),
          createdAt: now,
        },
        caller,
        true,
        caller.signal,
      );
      session.record.initialized = true;
      const { version, answerJson } = await this.#builder.replay(
        session,
        session.record.toRecord(session.handshake),
        caller,
      );
      session.negotiated(version, answerJson);
    } catch (cause) {
      this.#options.logger.error({ err: cause, sessionId: id }, 'A migrated session could not be rebuilt here');
      await session?.leave('released');
      throw restoreFailed(cause);
    }
    if ((await this.#store.sessions.create(session.record.toRecord(session.handshake))) === 'exists') {
      await session.leave('fenced');
      return undefined;
    }
    session.record.exists = true;
    await this.#add(session, 'migration');
    return session;
  }
}

function faultyField(params: InitializeRequestParams): string {
  const { protocolVersion, capabilities, clientInfo } = params as Partial<InitializeRequestParams>;
  if (typeof protocolVersion !== 'string') return 'protocolVersion';
  if (typeof clientInfo?.name !== 'string' || typeof clientInfo.version !== 'string') return 'clientInfo';
  return isObject(capabilities) ? 'a member of clientInfo or capabilities' : 'capabilities';
}
