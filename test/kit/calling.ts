/** A client that calls one time after the other while servers come and go. */
import { onTestFinished } from 'vitest';
import { until } from './until.ts';

/** Between two calls. Calls take the CPU with which a process starts; where none listens, that lasts much longer. */
const PAUSE_MS = 25;

export interface Calling {
  /** How many calls were answered. */
  answered(): number;
  /** What other calls ended with. */
  readonly failures: string[];
  stop(): Promise<void>;
}

/** Calls until it is stopped. `call` gets the number of answers before it, and rejects where an answer is wrong. */
export function keepCalling(call: (answered: number) => Promise<unknown>): Calling {
  const failures: string[] = [];
  let answered = 0;
  let isOver = false;
  const done = (async () => {
    while (!isOver) {
      try {
        await call(answered);
        answered += 1;
      } catch (error) {
        failures.push(String((error as Error).cause ?? error));
      }
      await new Promise((next) => setTimeout(next, PAUSE_MS));
    }
  })();
  const stop = (): Promise<void> => {
    isOver = true;
    return done;
  };
  onTestFinished(stop);
  return { answered: () => answered, failures, stop };
}

/** Until each of them has had more answers. */
export async function answersGoOn(callers: readonly Calling[]): Promise<void> {
  const before = callers.map(({ answered }) => answered());
  await until(() => callers.every(({ answered }, n) => answered() > (before[n] ?? 0) + 2), {
    what: 'every client to get more answers',
  });
}
