/**
 * Makes sessions live here that were live elsewhere: from a claim and the record (restore), or from the handshake that
 * a migration handler returns (adopt). After a failure the claim is released: the session is kept for a later attempt
 * or another instance.
 */
import { restoreFailed, sessionNotFound, SojournError } from '../errors.ts';
import type { ClaimOutcome, StoredRecord } from '../stores/store.ts';
import type { Handshake } from '../session/record/handshake.ts';
import type { SessionBuilder } from '../session/server/session-builder.ts';
import { levelOf } from '../http/answer.ts';
import { shareKey } from '../base/budget.ts';
import type { CallerRequest } from '../http/caller-request.ts';
import { GET_STREAM } from '../session/streams/event-id.ts';
import { orHookTimeout } from '../session/hook-time.ts';
import { messagesTo } from '../session/broadcast.ts';
import { type RecentChanges, SLACK_MS } from '../session/recent-changes.ts';
import type { Registry } from '../session/registry.ts';
import { takeLostCalls } from '../session/calls/again.ts';
import type { LiveSession } from '../session/session.ts';
import { memoryOfRecord } from '../session/record/memory.ts';
import { decodeSession } from '../session/record/session-record.ts';

const NOT_RESTORED = 'A session could not be restored here; it is kept, and its next request tries again';

type Claimed = Extract<ClaimOutcome, { claimed: true }>;

export class Restorer {
  readonly #registry: Registry;
  readonly #builder: SessionBuilder;
  readonly #changes: RecentChanges;
  readonly #restoring = new Map<string, Promise<void>>();

  constructor(registry: Registry, builder: SessionBuilder, changes: RecentChanges) {
    this.#registry = registry;
    this.#builder = builder;
    this.#changes = changes;
  }

  /** The running restore of a session, if there is one. */
  restoring(id: string): Promise<void> | undefined {
    return this.#restoring.get(id);
  }

  /**
   * Resolves without a live session when the claim was lost; the caller then reads the record again. Callers for one
   * session share a restore.
   */
  restore(record: StoredRecord, caller: CallerRequest): Promise<void> {
    const running = this.#restoring.get(record.id);
    if (running !== undefined) return running;
    // The session became live while the caller read its record. Another claim would make a second copy.
    if (this.#registry.get(record.id) !== undefined) return Promise.resolve();
    const restoring = this.#claimAndRestore(record, caller).finally(() => this.#restoring.delete(record.id));
    this.#restoring.set(record.id, restoring);
    return restoring;
  }

  async #claimAndRestore(record: StoredRecord, caller: CallerRequest): Promise<void> {
    const kept = memoryOfRecord(decodeSession(record));
    // Take it out of the index before space is made for it, so that the session that wakes is not the session that is
    // evicted.
    const wasHibernated = this.#registry.hibernated.take(record.id, record.stamp);
    try {
      await this.#registry.withPlaces(caller, true, kept, async () => {
        const outcome = await this.#registry.store.sessions.claim(record.id, record, this.#registry.lease.owner);
        if (!outcome.claimed) return;
        await this.#add(await this.#rebuild(outcome, caller), wasHibernated ? 'wake' : 'takeover', record);
      });
    } catch (cause) {
      const ended = cause instanceof SojournError && cause.code === 'SESSION_NOT_FOUND';
      const share = shareKey(caller.user, caller.clientAddress);
      if (wasHibernated && !ended) this.#registry.hibernated.add({ id: record.id, bytes: kept, share }, record.stamp);
      throw cause;
    }
  }

  async #add(session: LiveSession, cause: 'wake' | 'takeover' | 'migration', record?: StoredRecord): Promise<void> {
    // The lease expired during the restore, and the sessions that were live then have been claimed again already.
    try {
      while (session.ownership.owner !== this.#registry.lease.owner)
        if (!(await session.ownership.claim())) return session.leave('fenced');
    } catch (err) {
      await this.#giveUp(session, session.id, err, NOT_RESTORED);
      throw err;
    }
    this.#registry.add(session, cause, record);
    if (record !== undefined)
      session.missed(messagesTo(session, this.#changes.since(record.stamp - (cause === 'wake' ? 0 : SLACK_MS))));
    const { refusal } = this.#registry.lifecycle;
    if (refusal === undefined) return;
    await this.#registry.leaving.giveBack(session, 'released');
    throw refusal;
  }

  async #rebuild(
    { record: stored, marks, streams, expiresInMs }: Claimed,
    caller: CallerRequest,
  ): Promise<LiveSession> {
    const record = decodeSession(stored);
    const owner = record.owner ?? this.#registry.lease.owner;
    const fence = { epoch: record.epoch, owner };
    const get = streams.find(({ stream }) => stream === GET_STREAM);
    let session: LiveSession | undefined;
    try {
      session = await this.#builder.connect(
        {
          id: record.id,
          fence,
          user: record.user,
          address: caller.clientAddress,
          handshake: record.handshake,
          createdAt: record.createdAt,
          // The log knows better than the record whether the GET stream was primed, because the record is saved later.
          record: get === undefined ? record : { ...record, getPrimed: true },
          getNext: get?.next,
        },
        caller,
        true,
      );
      const { version, answer } = await this.#builder.replay(session, caller);
      if (version !== record.version) {
        this.#registry.options.logger.warn(
          { sessionId: record.id, negotiated: record.version, answered: version },
          'The rebuilt server no longer speaks the negotiated protocol version; the session ends',
        );
        await session.leave('server_closed');
        await this.#registry.leaving.endRecord(record.id, fence, 'server_closed');
        throw sessionNotFound();
      }
      session.record.restored(expiresInMs);
      session.rebuilt(answer);
      await takeLostCalls(session, streams, marks, caller);
      return session;
    } catch (cause) {
      if (cause instanceof SojournError && cause.code === 'SESSION_NOT_FOUND') throw cause;
      await this.#giveUp(session, record.id, cause, NOT_RESTORED);
      await this.#registry.leaving.giveBackClaim(record.id, fence);
      throw orHookTimeout(cause, restoreFailed);
    }
  }

  async #giveUp(session: LiveSession | undefined, sessionId: string, err: unknown, message: string): Promise<void> {
    this.#registry.options.logger[levelOf(err)]({ err, sessionId }, message);
    await session?.giveUp('released', err);
  }

  /**
   * Adopts a session of another deployment, bound to the user of this request. `undefined`: another request was faster.
   */
  async adopt(id: string, handshake: Handshake, caller: CallerRequest): Promise<LiveSession | undefined> {
    let session: LiveSession | undefined;
    try {
      session = await this.#builder.make(id, handshake, caller, { restored: true });
      session.record.change({ initialized: true });
      session.negotiated(await this.#builder.replay(session, caller));
    } catch (cause) {
      await this.#giveUp(session, id, cause, 'A migrated session could not be rebuilt here');
      throw orHookTimeout(cause, restoreFailed);
    }
    let outcome;
    try {
      const { store } = this.#registry;
      outcome = await session.record.create((record) => store.sessions.create(record, this.#registry.expiresInMs()));
    } catch (cause) {
      await session.leave('released');
      throw cause;
    }
    if (outcome === 'exists') {
      await session.leave('fenced');
      return undefined;
    }
    await this.#add(session, 'migration');
    return session;
  }
}
