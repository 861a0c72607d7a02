/**
 * Clients that resume make the process hold what they missed, several MB each, from the read of the event log until it
 * is written. So few replays are under way at once, in a reserve beside the memory budget. What clients make this
 * instance keep cannot stop a resume, and a resume takes no room from requests:
 *
 *     one of a session, four of a user, sixteen of an instance, and no more than half of `limits.memoryBytes` holds
 *
 * The others wait, and the users take turns. After `HEAD_MS` a client that waits gets the head of its response: clients
 * take a response without a head for broken, and a refused resume for final.
 */
import { afterTurn } from '../../base/system.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import type { CallerRequest } from '../../http/exchange.ts';
import { Budget, shareKey } from '../../base/budget.ts';
import type { TimeProvider } from '../../types.ts';

const PER_SESSION = 1;
const PER_USER = 4;
const MOST = 16;
/** The reserve of replays, as a part of `limits.memoryBytes`. */
const PART = 1 / 2;
/** The events as the store returns them, as frames, as one text, and as its bytes. */
const WEIGHT = 4;
const HEAD_MS = 250;

/** Ends a replay: what it read has been written, or will be when this turn ends. */
export type EndReplay = () => void;

interface Replay {
  readonly session: string;
  readonly user: string;
  readonly client: CallerRequest;
}

interface WaitingReplay extends Replay {
  begun(end: EndReplay): void;
}

export class Replays {
  readonly #time: TimeProvider;
  readonly #most: number;
  readonly #bySession = new Budget(Infinity, 1);
  readonly #byUser = new Budget(Infinity, 1);
  /** The key is the user, in order of arrival. The user whose replay began last is the last. */
  readonly #waiting = new Map<string, Set<WaitingReplay>>();

  constructor(options: Pick<ResolvedOptions, 'timeProvider' | 'eventRetention' | 'limits'>) {
    const { timeProvider, eventRetention, limits } = options;
    this.#time = timeProvider;
    const room = limits.memoryBytes * PART;
    // A session keeps no more.
    const bytes = eventRetention === false || room === Infinity ? 0 : eventRetention.bytes * WEIGHT;
    this.#most = Math.max(1, Math.min(MOST, Math.floor(room / bytes)));
  }

  /**
   * Returns at once, or resolves, with the end of a replay that may begin. `undefined`: the client disconnected first.
   * `openHead` is called when the client has waited for a while.
   */
  begin(session: string, client: CallerRequest, openHead: () => void): EndReplay | Promise<EndReplay | undefined> {
    const replay = { session, user: shareKey(client.user, client.clientAddress), client };
    const started = this.#start(replay);
    if (typeof started === 'function') return started;
    return new Promise((resolve) => {
      const timer = this.#time.setTimeout(openHead, HEAD_MS);
      const left = (end: EndReplay | undefined): void => {
        this.#time.clearTimeout(timer);
        this.#forget(waiting);
        resolve(end);
      };
      const waiting: WaitingReplay = { ...replay, begun: left };
      this.#wait(waiting);
      client.onClose(() => left(undefined));
    });
  }

  /** `'busy'`: its session or user has as many as may run. `'full'`: the instance has. */
  #start({ session, user, client }: Replay): EndReplay | 'busy' | 'full' {
    if (this.#byUser.used >= this.#most) return 'full';
    if (this.#bySession.heldBy(session) >= PER_SESSION || this.#byUser.heldBy(user) >= PER_USER) return 'busy';
    this.#count(session, user, 1);
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      // What the turn writes is charged where the client does not take it at once.
      afterTurn(() => {
        const room = client.relayOrigin?.room();
        if (room === undefined) this.#end(session, user);
        else void room.then(() => this.#end(session, user));
      });
    };
  }

  #end(session: string, user: string): void {
    this.#count(session, user, -1);
    this.#startWaiting();
  }

  #count(session: string, user: string, by: 1 | -1): void {
    this.#bySession.charge(by, session);
    this.#byUser.charge(by, user);
  }

  #wait(waiting: WaitingReplay): void {
    const ofUser = this.#waiting.get(waiting.user);
    if (ofUser === undefined) this.#waiting.set(waiting.user, new Set([waiting]));
    else ofUser.add(waiting);
  }

  #forget(waiting: WaitingReplay): void {
    const ofUser = this.#waiting.get(waiting.user);
    ofUser?.delete(waiting);
    if (ofUser?.size === 0) this.#waiting.delete(waiting.user);
  }

  #startWaiting(): void {
    // A user that is put behind the others is reached again.
    for (const [user, ofUser] of this.#waiting) {
      for (const waiting of ofUser) {
        const started = this.#start(waiting);
        if (started === 'full') return;
        if (started === 'busy') continue;
        waiting.begun(started);
        if (this.#waiting.delete(user)) this.#waiting.set(user, ofUser);
        break;
      }
    }
  }
}
