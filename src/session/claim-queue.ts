/**
 * Claims for the present id of this instance. After a lapse the instance has a new id, and its live sessions still belong
 * to the old one: each is served again as soon as it is claimed for the new id.
 *
 *     served ──new id──▶ queued ──▶ being claimed ──won──▶ served
 *                          ▲              │ └──lost──▶ fenced: another instance won the session first
 *                          └─ next renewal ─┘ the store did not answer
 *
 * Claims run beside the renewals of the lease and never delay them. A session that a request or a held message waits for
 * is claimed before the others. What was claimed stays claimed: after another lapse the queue holds the live sessions that
 * are not claimed for the newest id, and claims each from the epoch that it has reached.
 *
 * A claim without a reply may have been stored. The next claim then finds a record that names an earlier id of this
 * instance, and continues from that epoch: nobody else has owned the session in between.
 */
import { isEnded, type ClaimOutcome, type SessionStore } from '../stores/store.ts';
import type { Logger } from '../types.ts';
import type { LiveSession } from './session.ts';

/** Enough that 10,000 sessions with a store 10 ms away take some 3 s, few enough that other calls are not held up. */
const CLAIMS_AT_ONCE = 64;
/** With those that are waited for: as many requests would be under way if these sessions were live. */
const AWAITED_CLAIMS_AT_ONCE = 512;

export interface ClaimQueueOptions {
  readonly store: Pick<SessionStore, 'claim'>;
  readonly logger: Logger;
  /** The id of this instance for which sessions are claimed: its lease is stored. */
  owner(): string;
  /** Whether that id has a valid lease. */
  valid(): boolean;
  live(): Iterable<LiveSession>;
  isLive(session: LiveSession): boolean;
  claimed(session: LiveSession): void;
  /** Another instance owns it. */
  lost(session: LiveSession): void;
}

export class ClaimQueue {
  readonly #options: ClaimQueueOptions;
  /** The id whose sessions are in the queue, or claimed. */
  #queuedFor: string | undefined = undefined;
  readonly #queue = new Set<LiveSession>();
  /** Those of the queue that a request or a message waits for. */
  readonly #first = new Set<LiveSession>();
  /** For these the store did not answer. */
  #unanswered: LiveSession[] = [];
  #underWay = 0;
  readonly #claiming = new Map<LiveSession, Promise<boolean>>();
  /** The ids of claims whose outcome is unknown. */
  readonly #unknown = new WeakMap<LiveSession, string[]>();
  /** They wait for `goOn`. */
  readonly #waiting = new Set<LiveSession>();

  constructor(options: ClaimQueueOptions) {
    this.#options = options;
  }

  /** Whether what is said in a live session holds: its claim is the newest, and the lease is valid. */
  serves(session: LiveSession): boolean {
    return this.#options.valid() && session.owner === this.#options.owner();
  }

  /** Calls `goOn` of a session once it is served. Claims it before the others. */
  wait(session: LiveSession): void {
    this.#waiting.add(session);
    this.#attend(session);
    this.#start();
  }

  /** The lease is valid for longer, or there is a new one. */
  extended(): void {
    const owner = this.#options.owner();
    if (this.#queuedFor !== owner) {
      this.#queuedFor = owner;
      for (const session of this.#options.live()) if (session.owner !== owner) this.#queue.add(session);
    }
    for (const session of this.#unanswered.splice(0)) this.#queue.add(session);
    for (const session of this.#waiting) this.#attend(session);
    this.#start();
  }

  #attend(session: LiveSession): void {
    const { owner, isLive } = this.#options;
    if (!isLive(session) || this.serves(session)) {
      this.#waiting.delete(session);
      session.goOn();
    } else if (session.owner !== owner() && !this.#claiming.has(session)) this.#first.add(session);
  }

  #start(): void {
    while (this.#options.valid()) {
      const session = this.#next();
      if (session === undefined) return;
      this.#underWay += 1;
      void this.claim(session)
        .catch((err: unknown) => this.#failed(session, err))
        .finally(() => {
          this.#underWay -= 1;
          this.#start();
        });
    }
  }

  #next(): LiveSession | undefined {
    const { owner, isLive } = this.#options;
    for (const [sessions, most] of [
      [this.#first, AWAITED_CLAIMS_AT_ONCE],
      [this.#queue, CLAIMS_AT_ONCE],
    ] as const) {
      if (this.#underWay >= most) continue;
      for (const session of sessions) {
        sessions.delete(session);
        if (isLive(session) && session.owner !== owner() && !this.#claiming.has(session)) return session;
      }
    }
    return undefined;
  }

  #failed(session: LiveSession, err: unknown): void {
    this.#unanswered.push(session);
    this.#options.logger.warn(
      { err, sessionId: session.id },
      'A session could not be claimed again; the next renewal of the lease tries again',
    );
  }

  /**
   * Claims a session for the present id, also one that is not live yet. `false`: another instance owns it. Rejects when the
   * store does not answer. Callers share one claim.
   */
  claim(session: LiveSession): Promise<boolean> {
    const running = this.#claiming.get(session);
    if (running !== undefined) return running;
    const claiming = this.#claim(session).finally(() => this.#claiming.delete(session));
    this.#claiming.set(session, claiming);
    return claiming;
  }

  /** Settles when it is known which claim of ours is the last one. `undefined`: no other than the session knows of. */
  settled(session: LiveSession): Promise<unknown> | undefined {
    return this.#claiming.get(session) ?? (this.#unknown.has(session) ? session.served() : undefined);
  }

  async #claim(session: LiveSession): Promise<boolean> {
    const { owner, lost, claimed } = this.#options;
    // The instance may take another id while a claim is under way.
    for (let id = owner(); session.owner !== id; id = owner()) {
      const outcome = await this.#ask(session, id);
      const own = ownedBy(outcome, id, this.#unknown.get(session));
      this.#unknown.delete(session);
      if (own === undefined) {
        lost(session);
        return false;
      }
      session.reclaimed(own.epoch, own.owner);
    }
    claimed(session);
    if (this.#waiting.has(session)) this.#attend(session);
    return true;
  }

  async #ask(session: LiveSession, id: string): Promise<ClaimOutcome> {
    try {
      return await this.#options.store.claim(session.id, session.record.fence, id);
    } catch (cause) {
      this.#unknown.set(session, [...(this.#unknown.get(session) ?? []), id]);
      throw cause;
    }
  }
}

/** Under which id of this instance a session is owned after a claim; `undefined`: under none. */
function ownedBy(
  outcome: ClaimOutcome,
  id: string,
  earlier: readonly string[] | undefined,
): { readonly epoch: number; readonly owner: string } | undefined {
  if (outcome.claimed) return { epoch: outcome.record.epoch, owner: id };
  const { current } = outcome;
  if (current === undefined || isEnded(current) || current.owner === null) return undefined;
  return earlier?.includes(current.owner) === true ? { epoch: current.epoch, owner: current.owner } : undefined;
}
