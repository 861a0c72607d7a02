/**
 * Claims for the present id of this instance. After a lapse the instance has a new id, and its live sessions still
 * belong to the old id: each is served again as soon as it is claimed for the new id.
 *
 *     served ──new id──▶ queued ──▶ being claimed ──won──▶ served
 *                          ▲              │ └──lost──▶ fenced: another instance won the session first
 *                          └─ next renewal ─┘ the store did not answer
 *
 * Claims run beside the renewals of the lease and never delay them. A session that a request or a held message waits
 * for is claimed before the others. A claimed session stays claimed: after another lapse the queue holds the live
 * sessions that are not claimed for the newest id, and claims each from the epoch that it has reached.
 *
 * A claim without a reply may have been stored. The next claim then finds a record that names an earlier id of this
 * instance, and continues from that epoch: no other instance has owned the session in between.
 */
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import { isEnded, type ClaimOutcome, type Fence, type Records } from '../../stores/store.ts';
import type { Claims, SessionOwnership, OwningCopies } from './session-ownership.ts';

/** Enough that 10,000 sessions with a store 10 ms away take some seconds, few enough that calls are not held up. */
const CLAIMS_AT_ONCE = 64;

/** The live sessions of this instance, as their claims use them. */
export interface ClaimedSessions extends OwningCopies {
  readonly options: Pick<ResolvedOptions, 'logger'>;
  readonly store: { readonly sessions: Pick<Records, 'claim'> };
  ownerships(): Iterable<SessionOwnership>;
  reclaimed(ownership: SessionOwnership): void;
}

export class ClaimQueue implements Claims {
  readonly copies: ClaimedSessions;
  /** The id whose sessions are in the queue, or claimed. */
  #queuedFor: string | undefined = undefined;
  readonly #queue = new Set<SessionOwnership>();
  /** The queued sessions that a request or a message waits for. */
  readonly #first = new Set<SessionOwnership>();
  /** Sessions for which the store did not answer. */
  #unanswered: SessionOwnership[] = [];
  #underWay = 0;
  readonly #claiming = new Map<SessionOwnership, Promise<boolean>>();
  /** The ids of claims whose outcome is unknown. */
  readonly #unknown = new WeakMap<SessionOwnership, string[]>();
  /** They wait for `stopWaiting`. */
  readonly #waiting = new Set<SessionOwnership>();

  constructor(copies: ClaimedSessions) {
    this.copies = copies;
  }

  queueUntilLeaseValid(ownership: SessionOwnership): void {
    this.#waiting.add(ownership);
    this.#attend(ownership);
    this.#start();
  }

  /** The lease was renewed, or there is a new lease. */
  extended(): void {
    const { owner } = this.copies.lease;
    if (this.#queuedFor !== owner) {
      this.#queuedFor = owner;
      for (const ownership of this.copies.ownerships()) if (ownership.owner !== owner) this.#queue.add(ownership);
    }
    for (const ownership of this.#unanswered.splice(0)) this.#queue.add(ownership);
    for (const ownership of this.#waiting) this.#attend(ownership);
    this.#start();
  }

  #attend(ownership: SessionOwnership): void {
    if (ownership.leaseValid) {
      this.#waiting.delete(ownership);
      ownership.stopWaiting();
    } else if (ownership.owner !== this.copies.lease.owner && !this.#claiming.has(ownership))
      this.#first.add(ownership);
  }

  #start(): void {
    while (this.copies.lease.valid && this.#underWay < CLAIMS_AT_ONCE) {
      const ownership = this.#take(this.#first) ?? this.#take(this.#queue);
      if (ownership === undefined) return;
      this.#underWay += 1;
      void this.claim(ownership)
        .catch((err: unknown) => this.#failed(ownership, err))
        .finally(() => {
          this.#underWay -= 1;
          this.#start();
        });
    }
  }

  #take(sessions: Set<SessionOwnership>): SessionOwnership | undefined {
    const { owner } = this.copies.lease;
    for (const ownership of sessions) {
      sessions.delete(ownership);
      if (this.copies.isLive(ownership) && ownership.owner !== owner && !this.#claiming.has(ownership))
        return ownership;
    }
    return undefined;
  }

  #failed(ownership: SessionOwnership, err: unknown): void {
    this.#unanswered.push(ownership);
    this.copies.options.logger.error(
      { err, sessionId: ownership.sessionId },
      'A session could not be claimed again; the next renewal of the lease tries again',
    );
  }

  /**
   * Claims a session for the present id. The session need not be live yet. `false`: another instance owns it. Rejects
   * when the store does not answer. Callers share one claim.
   */
  claim(ownership: SessionOwnership): Promise<boolean> {
    const running = this.#claiming.get(ownership);
    if (running !== undefined) return running;
    const claiming = this.#claim(ownership).finally(() => this.#claiming.delete(ownership));
    this.#claiming.set(ownership, claiming);
    return claiming;
  }

  claimsSettled(ownership: SessionOwnership): Promise<unknown> | undefined {
    return this.#claiming.get(ownership) ?? (this.#unknown.has(ownership) ? ownership.untilLeaseValid() : undefined);
  }

  async #claim(ownership: SessionOwnership): Promise<boolean> {
    const { lease } = this.copies;
    // The instance may take another id while a claim is under way.
    for (let id = lease.owner; ownership.owner !== id; id = lease.owner) {
      const outcome = await this.#ask(ownership, id);
      const own = ownedBy(outcome, id, this.#unknown.get(ownership));
      this.#unknown.delete(ownership);
      if (own === undefined) {
        this.copies.fenced(ownership);
        return false;
      }
      ownership.claimed(own);
    }
    this.copies.reclaimed(ownership);
    if (this.#waiting.has(ownership)) this.#attend(ownership);
    return true;
  }

  async #ask(ownership: SessionOwnership, id: string): Promise<ClaimOutcome> {
    try {
      return await this.copies.store.sessions.claim(ownership.sessionId, ownership.fence, id);
    } catch (cause) {
      this.#unknown.set(ownership, [...(this.#unknown.get(ownership) ?? []), id]);
      throw cause;
    }
  }
}

/** The claim under which this instance owns a session after an outcome; `undefined`: it does not own it. */
function ownedBy(outcome: ClaimOutcome, id: string, earlier: readonly string[] | undefined): Fence | undefined {
  if (outcome.claimed) return { epoch: outcome.record.epoch, owner: id };
  const { current } = outcome;
  if (current === undefined || isEnded(current) || current.owner === null) return undefined;
  return earlier?.includes(current.owner) === true ? { epoch: current.epoch, owner: current.owner } : undefined;
}
