/**
 * Clients that resume make the process hold what they missed, several MB each, from the read of the event log until it
 * is written. So sixteen replays are under way at once, or as many as half of `limits.memoryBytes` holds, in a reserve
 * beside the memory budget. What clients make this instance keep cannot stop a resume, and a resume takes no room from
 * requests.
 *
 * The others wait, and the users take turns. After `HEAD_MS` a client that waits gets the head of its response: clients
 * take a response without a head for broken, and a refused resume for final.
 */
import { afterTurn } from '../../base/system.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import type { CallerRequest } from '../../http/exchange.ts';
import { shareKey } from '../../base/budget.ts';
import type { TimeProvider } from '../../types.ts';

const MOST = 16;
/** The reserve of replays, as a part of `limits.memoryBytes`. */
const PART = 1 / 2;
/** The events as the store returns them, as frames, as one text, and as its bytes. */
const WEIGHT = 4;
const HEAD_MS = 250;

/** Ends a replay: what it read has been written, or will be when this turn ends. */
type EndReplay = () => void;

export class Replays {
  readonly #time: TimeProvider;
  readonly #most: number;
  #running = 0;
  /** What begins each replay that waits, by its user. The user whose replay began last is the last. */
  readonly #waiting = new Map<string, Set<() => void>>();

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
  begin(client: CallerRequest, openHead: () => void): EndReplay | Promise<EndReplay | undefined> {
    if (this.#running < this.#most) return this.#start(client);
    const user = shareKey(client.user, client.clientAddress);
    return new Promise((resolve) => {
      const timer = this.#time.setTimeout(openHead, HEAD_MS);
      const begin = (): void => settle(this.#start(client));
      const settle = (end: EndReplay | undefined): void => {
        this.#time.clearTimeout(timer);
        this.#forget(user, begin);
        resolve(end);
      };
      const ofUser = this.#waiting.get(user);
      if (ofUser === undefined) this.#waiting.set(user, new Set([begin]));
      else ofUser.add(begin);
      client.onClose(() => settle(undefined));
    });
  }

  #start(client: CallerRequest): EndReplay {
    this.#running += 1;
    // What the turn writes is charged where the client does not take it at once.
    return () =>
      afterTurn(() => {
        const room = client.relayOrigin?.room();
        if (room === undefined) this.#end();
        else void room.then(() => this.#end());
      });
  }

  #end(): void {
    this.#running -= 1;
    const next = this.#waiting.entries().next().value;
    if (next === undefined) return;
    const [user, ofUser] = next;
    this.#waiting.delete(user);
    this.#waiting.set(user, ofUser);
    const [begin] = ofUser;
    begin?.();
  }

  #forget(user: string, begin: () => void): void {
    const ofUser = this.#waiting.get(user);
    ofUser?.delete(begin);
    if (ofUser?.size === 0) this.#waiting.delete(user);
  }
}
