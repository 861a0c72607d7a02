/**
 * The one clock of a world, and everything that is to happen in it, in the order of time. Between two events whatever
 * the first one started settles: microtasks, and turns of the event loop until no work waits for one.
 */
import { hearRejections } from '../kit/rejections.ts';

export interface Planned {
  readonly at: number;
  fn: (() => void) | undefined;
}

/** Requested turns of the event loop that have not come yet. */
let turnsWanted = 0;
const realSetImmediate = setImmediate;

/** While worlds run, turns that are asked for are counted. */
function countTurns(): () => void {
  const counting = (fn: (...args: unknown[]) => void, ...args: unknown[]): NodeJS.Immediate => {
    turnsWanted += 1;
    return realSetImmediate(() => {
      turnsWanted -= 1;
      fn(...args);
    });
  };
  globalThis.setImmediate = counting as typeof setImmediate;
  return () => {
    globalThis.setImmediate = realSetImmediate;
  };
}

export class Scheduler {
  /** ms since the world began. */
  now = 0;
  events = 0;
  /** The next one last. */
  readonly #planned: Planned[] = [];

  at(time: number, fn: () => void): Planned {
    const planned = { at: Math.max(time, this.now), fn };
    // Behind all that is planned for this time.
    let [low, high] = [0, this.#planned.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#planned[middle] as Planned).at > planned.at) low = middle + 1;
      else high = middle;
    }
    this.#planned.splice(low, 0, planned);
    return planned;
  }

  after(ms: number, fn: () => void): Planned {
    return this.at(this.now + ms, fn);
  }

  /** When the next of what is planned happens, cancelled or not. */
  get nextAt(): number {
    return this.#planned.at(-1)?.at ?? this.now;
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.at(this.now + ms, resolve));
  }

  cancel(planned: Planned): void {
    planned.fn = undefined;
  }

  /** Runs what is planned until `done` says so or nothing is planned any more. */
  run(done: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const step = (): void => {
        if (turnsWanted > 0) return void realSetImmediate(step);
        if (done()) return resolve();
        let planned = this.#planned.pop();
        while (planned !== undefined && planned.fn === undefined) planned = this.#planned.pop();
        if (planned?.fn === undefined) return resolve();
        this.now = planned.at;
        this.events += 1;
        try {
          planned.fn();
        } catch (error) {
          return reject(error);
        }
        realSetImmediate(step);
      };
      realSetImmediate(step);
    });
  }
}

/** Longer than any world takes. */
const LONGEST_MS = 2_000_000;

/**
 * Plays in a world from its beginning, to the end of `play`. A rejection ends a real process.
 * `most`: ten times what the busiest runs take.
 */
export async function playIn(
  world: { readonly scheduler: Scheduler; wrong(what: string): void },
  play: () => Promise<void>,
  most = Infinity,
): Promise<void> {
  const { scheduler } = world;
  const stopCounting = countTurns();
  const stopHearing = hearRejections((error) =>
    world.wrong(`an unhandled rejection: ${error instanceof Error ? error.stack : String(error)}`),
  );
  let played: Promise<void> | undefined;
  let isOver = false;
  const end = (): void => void (isOver = true);
  try {
    scheduler.at(0, () => {
      played = play();
      played.then(end, end);
    });
    await scheduler.run(() => isOver || scheduler.now > LONGEST_MS || scheduler.events > most);
    await new Promise<void>((done) => realSetImmediate(done));
  } finally {
    stopHearing();
    stopCounting();
  }
  if (isOver) await played;
  else
    world.wrong(
      scheduler.events > most
        ? `more than ${most} events: something goes round and round`
        : 'the run does not end',
    );
}
