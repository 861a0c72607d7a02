/**
 * Sessions that leave their instance: what is written, in which order, and what a store that is away leaves to do.
 *
 *     live ─┬─ end ───────▶ the end is stored ─▶ the copy leaves                 ─▶ ended
 *           ├─ release ───▶ the copy leaves   ─▶ the record is given back        ─▶ released
 *           ├─ hibernate ─▶ the copy leaves   ─▶ the record is given back        ─▶ hibernated
 *           └─ fenced ────▶ the copy leaves; the record is another one's, or lost ─▶ fenced
 *
 * A session first leaves the registry. Requests for it then wait for `closing`, and find its end in the store. A write
 * that the store does not take is repeated by `settle`: until then the record names an owner without a copy. The record
 * of a session that is not live here ends without a copy (`endRecord`).
 */
import { SESSIONS_LOST } from '../../base/observe/lost-data.ts';
import { encodeHead } from '../record/session-record.ts';
import type { SessionChange } from '../../base/observe/notices.ts';
import {
  isEnded,
  type Fence,
  type Ownership as StoredOwnership,
  type Records,
  type SaveOutcome,
  type StoredRecord,
} from '../../stores/store.ts';
import type { EndReason } from '../../base/types.ts';
import { EndHook } from './end-hook.ts';
import type { HibernatedIndex } from './hibernated-index.ts';
import type { UserShares } from './user-shares.ts';
import type { EntryList } from '../../base/entry-list.ts';
import type { LiveSession } from '../session.ts';
import type { CallHost } from '../calls/call-services.ts';

/** The registry, as its sweep and the sessions that leave it use it. */
export interface LiveSessions extends CallHost {
  readonly durable: boolean;
  /** In the order in which they became idle. */
  readonly idle: EntryList<LiveSession>;
  readonly hibernated: HibernatedIndex;
  readonly shares: UserShares;
  readonly leaving: LeavingSessions;
  get(id: string): LiveSession | undefined;
  values(): Iterable<LiveSession>;
  /** `false`: the session is not live here any more. */
  remove(session: LiveSession): boolean;
  emit(change: SessionChange): void;
}

/** An end that makes room for another session shows so long: a user may cause many of them. */
const BRIEF_MS = 60_000;

type GivenBack = 'released' | 'closed' | 'hibernated';

export class LeavingSessions {
  /** Calls the user's migration handler. Only the end of the endpoint waits for it. */
  readonly endHook: EndHook;
  readonly #host: LiveSessions;
  readonly #closing = new Map<string, Promise<unknown>>();
  /**
   * Writes that the store did not take when a session left. Until it takes them, the record names an owner without a
   * copy.
   */
  readonly #owed = new Map<string, () => Promise<unknown>>();
  /** Sessions whose data the store lost while they were live here. */
  #lost = 0;

  constructor(host: LiveSessions) {
    this.#host = host;
    this.endHook = new EndHook(host.options);
  }

  /** Resolves when a session that is leaving has left. */
  closing(id: string): Promise<unknown> | undefined {
    return this.#closing.get(id);
  }

  /**
   * Ends a live session for ever. Resolves when it is torn down. `false`: the session has left, but this call did not
   * end it, because it was leaving already, another instance owns it, or the store did not take the end. Look for its
   * record.
   */
  end(session: LiveSession, reason: EndReason): Promise<boolean> {
    if (this.#host.remove(session))
      return this.#track(session.id, this.#end(session, reason), false);
    return (this.#closing.get(session.id) ?? session.leave(reason)).then(() => false);
  }

  async #end(session: LiveSession, reason: EndReason): Promise<boolean> {
    let outcome: Awaited<ReturnType<Records['end']>> | 'failed' = 'failed';
    const claimed = session.ownership.claimsSettled;
    if (claimed !== undefined) await claimed;
    const { fence } = session.ownership;
    try {
      outcome = await this.#host.store.sessions.end(
        session.id,
        fence,
        reason,
        this.#keepMs(reason),
      );
    } catch (cause) {
      this.#host.logger.error(
        { err: cause, sessionId: session.id, reason },
        'The end of a session could not be stored',
      );
      // The caller of DELETE or `terminate` gets an error and retries.
      if (reason !== 'deleted' && reason !== 'terminated')
        this.#owed.set(session.id, () => this.endRecord(session.id, fence, reason));
    }
    const why = outcome === 'fenced' ? 'fenced' : reason;
    await session.leave(why);
    if (outcome === 'failed') return false;
    if (outcome === 'fenced') {
      this.#host.emit({ kind: 'sessionFenced', sessionId: session.id, reason: 'fenced' });
      this.#host.lease.renewNow();
      return false;
    }
    this.#host.emit({
      kind: 'sessionEnded',
      sessionId: session.id,
      reason,
      createdAt: session.createdAt,
    });
    this.endHook.ended(session.id, reason);
    return true;
  }

  /**
   * Ends a session that is not live here. The caller has found that its owner does not serve it. `false`: the record
   * has changed since, or has ended.
   */
  async endRecord(
    id: string,
    from: StoredOwnership | StoredRecord,
    reason: EndReason,
  ): Promise<boolean> {
    this.#host.hibernated.delete(id);
    if ((await this.#host.store.sessions.end(id, from, reason, this.#keepMs(reason))) !== 'ended')
      return false;
    const createdAt = 'createdAt' in from ? { createdAt: from.createdAt } : undefined;
    this.#host.emit({ kind: 'sessionEnded', sessionId: id, reason, ...createdAt });
    this.endHook.ended(id, reason);
    return true;
  }

  /** `undefined`: as long as other ends. */
  #keepMs(reason: EndReason): number | undefined {
    return reason === 'user_limit' ? Math.min(BRIEF_MS, this.#host.options.tombstoneMs) : undefined;
  }

  /** Ends a session without a living owner. `false`: it has a living owner, or has ended. */
  async endOwnerless(id: string, reason: EndReason): Promise<boolean> {
    const { instances, sessions } = this.#host.store;
    const record = await sessions.read(id);
    if (record === undefined || isEnded(record)) return false;
    if (record.owner !== null && (await instances.read(record.owner)) !== undefined) return false;
    return this.endRecord(id, record, reason);
  }

  /** One line for all sessions that the store has lost since the last call: a store that lost data loses many. */
  reportLost(): void {
    if (this.#lost > 0) this.#host.logger.fatal({ sessions: this.#lost }, SESSIONS_LOST);
    this.#lost = 0;
  }

  /**
   * Drops the copy of a session; its record stays, for this instance or another one. A request that arrives during this
   * waits, and wakes the session. `why` decides the error of its running requests. Never rejects.
   */
  giveBack(session: LiveSession, why: GivenBack): Promise<unknown> {
    if (!this.#host.remove(session)) return this.#closing.get(session.id) ?? Promise.resolve();
    return this.#track(session.id, this.#giveBack(session, why), undefined);
  }

  /** A release that is retried later takes nothing from the idle timeout of the session. */
  async #giveBack(session: LiveSession, why: GivenBack): Promise<void> {
    const { id: sessionId, share, charged: bytes } = session;
    const isHibernated = why === 'hibernated';
    const idleMs = isHibernated ? session.idleMs : 0;
    const { idleTimeoutMs, timeProvider: time } = this.#host.options;
    const stamp = Math.round(time.now() - idleMs);
    const activeSince = time.monotonic() - idleMs;
    await session.leave(why);
    const claimed = session.ownership.claimsSettled;
    if (claimed !== undefined) await claimed;
    const { fence } = session.ownership;
    const head = encodeHead(session.record.head, isHibernated);
    const release = async (): Promise<SaveOutcome> => {
      const expiresInMs = Number.isFinite(idleTimeoutMs)
        ? Math.ceil(activeSince + idleTimeoutMs - time.monotonic())
        : null;
      const change = {
        ...session.record.writes.unsaved,
        head,
        release: true,
        stamp,
        expiresInMs,
      } as const;
      return this.#host.store.sessions.save(sessionId, fence, change);
    };
    if ((await this.#release(sessionId, release)) === 'fenced')
      return this.#host.emit({ kind: 'sessionFenced', sessionId, reason: 'fenced' });
    if (isHibernated) this.#host.hibernated.add({ id: sessionId, bytes, share }, stamp);
    this.#host.emit(
      isHibernated
        ? { kind: 'sessionHibernated', sessionId, reason: why }
        : { kind: 'sessionReleased', sessionId, reason: why },
    );
  }

  /** Gives back the claim of a session that could not be restored here. Never rejects. */
  async giveBackClaim(id: string, fence: Fence): Promise<void> {
    await this.#release(id, async () =>
      this.#host.store.sessions.save(id, fence, { release: true }),
    );
  }

  /** `undefined`: the store did not take the write. */
  async #release(
    sessionId: string,
    write: () => Promise<SaveOutcome>,
  ): Promise<SaveOutcome | undefined> {
    try {
      return await write();
    } catch (err) {
      this.#host.logger.error(
        { err, sessionId },
        'A session could not be released; it is tried again',
      );
      this.#owed.set(sessionId, write);
      return undefined;
    }
  }

  /**
   * Repeats the writes that the store did not take, up to the first that fails again: while the store is away, each of
   * them may take seconds. That one becomes the last, because the store may take the others. A session that another
   * instance owns by now is not disturbed: its fence is newer. Never rejects.
   */
  async settle(): Promise<void> {
    for (const [sessionId, write] of this.#owed) {
      this.#owed.delete(sessionId);
      try {
        await write();
      } catch (err) {
        this.#host.logger.error(
          { err, sessionId },
          'The record of a session that left could not be stored; it is tried again',
        );
        // The session may have come back during this write, and left again: then a newer write is owed.
        if (!this.#owed.has(sessionId)) this.#owed.set(sessionId, write);
        return;
      }
    }
  }

  /** The store refused a write, because the session has another owner or is lost: its copy here is dropped. */
  fenced(session: LiveSession): void {
    if (!this.#host.remove(session)) return;
    void this.#logFenced(session.id, session.ownership.fence);
    void this.#track(session.id, session.leave('fenced'), undefined);
    this.#host.emit({ kind: 'sessionFenced', sessionId: session.id, reason: 'fenced' });
    this.#host.lease.renewNow();
  }

  /** Never rejects. */
  async #logFenced(sessionId: string, { owner, epoch }: Fence): Promise<void> {
    const { logger, store } = this.#host;
    try {
      const record = await store.sessions.read(sessionId);
      // A store that has the record unchanged refused an event, because it has lost those before it.
      if (
        record === undefined ||
        (!isEnded(record) && record.owner === owner && record.epoch === epoch)
      )
        return void (this.#lost += 1);
      const whose = isEnded(record)
        ? 'This session was ended elsewhere'
        : 'Another instance owns this session now';
      logger.warn({ sessionId }, `${whose}; the copy here is dropped`);
    } catch (err) {
      logger.warn(
        { err, sessionId },
        'The store refused a write of this session; the copy here is dropped',
      );
    }
  }

  /** Resolves as `leaving` does, and with `failed` where that rejects. */
  #track<T>(id: string, leaving: Promise<T>, failed: T): Promise<T> {
    const left = (outcome: T): T => {
      if (this.#closing.get(id) === tracked) this.#closing.delete(id);
      return outcome;
    };
    const tracked = leaving.then(left, (cause: unknown) => {
      this.#host.logger.error(
        { err: cause, sessionId: id },
        'A session that ended or left could not be cleaned up',
      );
      return left(failed);
    });
    this.#closing.set(id, tracked);
    return tracked;
  }
}
