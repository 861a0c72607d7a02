/**
 * Clients that resume make the process hold what they missed, several MB each, from the read of the event log until it
 * is written. So few replays are under way at once, and each is charged to the memory budget before it reads:
 *
 *     one of a session, four of a user, sixteen of an instance, and never more than half of `limits.memoryBytes`
 *
 * The others wait, and the users take turns. After `HEAD_MS` a client that waits gets the
 * head of its response: clients take a response without a head for broken, and a refused resume for final.
 */
import { afterTurn } from '../../options/system.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import { shareKey } from '../../http/body.ts';
import type { Caller } from '../../http/exchange.ts';
import type { MemoryUse, SlowReaders } from '../../http/slow-readers.ts';
import { Tally } from '../../tally.ts';

const PER_SESSION = 1;
const PER_USER = 4;
const MOST = 16;
/** The part of `limits.memoryBytes` that replays may fill. */
const PART = 1 / 2;
/** The events as the store returns them, as frames, as one text, and as its bytes. */
const WEIGHT = 4;
const HEAD_MS = 250;
/** Requests of other kinds give memory back, and no callback says when. */
const LOOK_MS = 50;
/** A response is cut for a replay that waits when its client has taken nothing for so long. */
const STALLED_MS = 2_000;

export interface ReplaysOptions {
  readonly options: Pick<ResolvedOptions, 'timeProvider' | 'eventRetention' | 'limits'>;
  readonly memory: MemoryUse;
  readonly slowReaders: Pick<SlowReaders, 'cutStalled'>;
}

/** Ends a replay: what it read has been written, or will be when this turn ends. */
export type EndReplay = () => void;

interface Replay {
  readonly session: string;
  readonly user: string;
  readonly client: Caller;
}

interface Waiting extends Replay {
  begun(end: EndReplay): void;
}

export class Replays {
  readonly #time: ReplaysOptions['options']['timeProvider'];
  readonly #memory: MemoryUse;
  readonly #slowReaders: ReplaysOptions['slowReaders'];
  /** One replay in the memory budget: a session keeps no more than `eventRetention.bytes`. */
  readonly #bytes: number;
  readonly #most: number;
  readonly #bySession = new Tally<string>();
  readonly #byUser = new Tally<string>();
  /** The key is the user, in order of arrival. The user whose replay began last is the last. */
  readonly #waiting = new Map<string, Set<Waiting>>();
  #look: unknown;

  constructor({ options, memory, slowReaders }: ReplaysOptions) {
    const { timeProvider, eventRetention, limits } = options;
    this.#time = timeProvider;
    this.#memory = memory;
    this.#slowReaders = slowReaders;
    const room = limits.memoryBytes * PART;
    const bytes = eventRetention === false ? 0 : Math.min(eventRetention.bytes * WEIGHT, room);
    this.#bytes = Number.isFinite(bytes) ? bytes : 0;
    this.#most = Math.max(1, Math.min(MOST, Math.floor(room / this.#bytes)));
  }

  /**
   * Returns at once, or resolves, with the end of a replay that may begin. `undefined`: the client disconnected first.
   * `openHead` is called when the client has waited for a while.
   */
  begin(session: string, client: Caller, openHead: () => void): EndReplay | Promise<EndReplay | undefined> {
    const replay = { session, user: shareKey(client.user, client.clientAddress), client };
    const started = this.#start(replay);
    if (started === 'full') this.#lookLater();
    if (typeof started === 'function') return started;
    return new Promise((resolve) => {
      const timer = this.#time.setTimeout(openHead, HEAD_MS);
      const left = (end: EndReplay | undefined): void => {
        this.#time.clearTimeout(timer);
        this.#forget(waiting);
        resolve(end);
      };
      const waiting: Waiting = { ...replay, begun: left };
      this.#wait(waiting);
      client.onClose(() => left(undefined));
    });
  }

  /** `'busy'`: its session or user has as many as may run. `'full'`: the instance has, or its memory. */
  #start({ session, user, client }: Replay): EndReplay | 'busy' | 'full' {
    if (this.#byUser.sum >= this.#most) return 'full';
    if (this.#bySession.of(session) >= PER_SESSION || this.#byUser.of(user) >= PER_USER) return 'busy';
    if (!this.#memory.take(this.#bytes, 0, user)) return 'full';
    this.#count(session, user, 1);
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      // What the turn writes is charged where the client does not take it at once.
      this.#memory.give(this.#bytes / WEIGHT, user);
      afterTurn(() => {
        const room = client.relayOrigin?.room();
        if (room === undefined) this.#end(session, user);
        else void room.then(() => this.#end(session, user));
      });
    };
  }

  #end(session: string, user: string): void {
    this.#count(session, user, -1);
    this.#memory.give(this.#bytes - this.#bytes / WEIGHT, user);
    this.#startWaiting();
  }

  #count(session: string, user: string, by: 1 | -1): void {
    this.#bySession.add(session, by);
    this.#byUser.add(user, by);
  }

  #wait(waiting: Waiting): void {
    const ofUser = this.#waiting.get(waiting.user);
    if (ofUser === undefined) this.#waiting.set(waiting.user, new Set([waiting]));
    else ofUser.add(waiting);
  }

  #forget(waiting: Waiting): void {
    const ofUser = this.#waiting.get(waiting.user);
    ofUser?.delete(waiting);
    if (ofUser?.size === 0) this.#waiting.delete(waiting.user);
  }

  #startWaiting(): void {
    // A user that is put behind the others is reached again.
    for (const [user, ofUser] of this.#waiting) {
      for (const waiting of ofUser) {
        const started = this.#start(waiting);
        if (started === 'full') return this.#lookLater();
        if (started === 'busy') continue;
        waiting.begun(started);
        if (this.#waiting.delete(user)) this.#waiting.set(user, ofUser);
        break;
      }
    }
  }

  #lookLater(): void {
    if (this.#look !== undefined) return;
    this.#look = this.#time.setTimeout(() => {
      this.#look = undefined;
      if (this.#waiting.size === 0) return;
      if (this.#byUser.sum === 0) this.#slowReaders.cutStalled(STALLED_MS);
      this.#startWaiting();
    }, LOOK_MS);
  }
}
