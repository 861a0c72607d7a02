/**
 * Makes sessions live here that were live elsewhere, from a claim and the record. The record of a session of another
 * deployment has only its handshake, and the version is negotiated again. After a failure the claim is released: the
 * session is kept for a later attempt or another instance.
 */
import { restoreFailed, sessionNotFound, SojournError } from '../base/errors.ts';
import type { ClaimOutcome, StoredRecord } from '../stores/store.ts';
import type { SessionBuilder } from '../session/life/session-builder.ts';
import { levelOf } from '../http/answer.ts';
import { shareKey } from '../base/budget.ts';
import type { CallerRequest } from '../http/caller-request.ts';
import { GET_STREAM } from '../session/streams/event-id.ts';
import { orHookTimeout } from '../base/hook-time.ts';
import { messagesTo } from '../session/broadcast.ts';
import { type RecentChanges, SLACK_MS } from '../session/recent-changes.ts';
import type { Registry } from '../session/registry.ts';
import { takeLostCalls } from '../session/life/repeated-calls.ts';
import type { LiveSession } from '../session/session.ts';
import { memoryOfRecord } from '../session/record/memory.ts';
import { NO_ANSWER } from '../session/record/server-answer.ts';
import { decodeSession, type SessionRecord } from '../session/record/session-record.ts';
import type { RestoreCause } from '../base/types.ts';

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
    const restoring = this.#claimAndRestore(record, caller).finally(() =>
      this.#restoring.delete(record.id),
    );
    this.#restoring.set(record.id, restoring);
    return restoring;
  }

  async #claimAndRestore(record: StoredRecord, caller: CallerRequest): Promise<void> {
    const decoded = decodeSession(record);
    const kept = memoryOfRecord(decoded);
    // Take it out of the index before space is made for it, so that the session that wakes is not the session that is
    // evicted.
    const wasHibernated = this.#registry.hibernated.take(record.id, record.stamp);
    const cause = isMigrated(decoded) ? 'migration' : wasHibernated ? 'wake' : 'takeover';
    try {
      await this.#registry.withPlaces(caller, kept, async () => {
        const outcome = await this.#registry.store.sessions.claim(
          record.id,
          record,
          this.#registry.lease.owner,
        );
        if (!outcome.claimed) return;
        await this.#add(await this.#rebuild(outcome, caller, record.owner), cause, record);
      });
    } catch (error) {
      const ended = error instanceof SojournError && error.code === 'SESSION_NOT_FOUND';
      const share = shareKey(caller.userKey, caller.clientAddress);
      if (wasHibernated && !ended)
        this.#registry.hibernated.add({ id: record.id, bytes: kept, share }, record.stamp);
      throw error;
    }
  }

  async #add(session: LiveSession, cause: RestoreCause, record: StoredRecord): Promise<void> {
    // The lease expired during the restore, and the sessions that were live then have been claimed again already.
    try {
      while (session.ownership.owner !== this.#registry.lease.owner)
        if (!(await session.ownership.claim())) return session.leave('fenced');
    } catch (err) {
      await this.#giveUp(session, session.id, err);
      throw err;
    }
    this.#registry.add(session, cause, record);
    session.missed(
      messagesTo(
        session,
        this.#changes.since(record.stamp - (cause === 'takeover' ? SLACK_MS : 0)),
      ),
    );
    const { refusal } = this.#registry.lifecycle;
    if (refusal === undefined) return;
    await this.#registry.leaving.giveBack(session, 'released');
    throw refusal;
  }

  async #rebuild(
    { record: stored, marks, streams, expiresInMs }: Claimed,
    caller: CallerRequest,
    lost: string | null,
  ): Promise<LiveSession> {
    const record = decodeSession(stored);
    const owner = record.owner ?? this.#registry.lease.owner;
    const fence = { epoch: record.epoch, owner };
    const get = streams.find(({ stream }) => stream === GET_STREAM);
    let session: LiveSession | undefined;
    try {
      session = await this.#builder.connect(
        {
          ...record,
          fence,
          address: caller.clientAddress,
          record,
          getNext: get?.next,
        },
        caller,
      );
      const negotiated = await this.#builder.replay(session, caller);
      const { version, answer } = negotiated;
      if (!isMigrated(record) && version !== record.version) {
        this.#registry.options.logger.warn(
          { sessionId: record.id, negotiated: record.version, answered: version },
          'The rebuilt server no longer speaks the negotiated protocol version; the session ends',
        );
        await session.leave('server_closed');
        await this.#registry.leaving.endRecord(record.id, fence, 'server_closed');
        throw sessionNotFound();
      }
      session.record.restored(expiresInMs);
      if (isMigrated(record)) session.negotiated(negotiated);
      else session.rebuilt(answer);
      await takeLostCalls(session, streams, marks, caller, lost);
      return session;
    } catch (cause) {
      if (cause instanceof SojournError && cause.code === 'SESSION_NOT_FOUND') throw cause;
      await this.#giveUp(session, record.id, cause);
      await this.#registry.leaving.giveBackClaim(record.id, fence);
      throw orHookTimeout(cause, restoreFailed);
    }
  }

  async #giveUp(session: LiveSession | undefined, sessionId: string, err: unknown): Promise<void> {
    this.#registry.options.logger[levelOf(err)](
      { err, sessionId },
      'A session could not be restored here; it is kept, and its next request tries again',
    );
    await session?.giveUp('released', err);
  }
}

/** Its server has answered no `initialize` yet. */
const isMigrated = ({ answer }: SessionRecord): boolean => answer === NO_ANSWER;
