/** The runs of a program that wait for their clients, and the state that their clients bring. */
import { every, monotonicMs } from '../base/system.ts';
import type { TimeProvider } from '../base/types.ts';
import type { Answers, Run } from './run.ts';

export interface RunState {
  /** `undefined`: the call ended in the child without an effect, and runs again. */
  readonly run: string | undefined;
  /** Digests of the questions that its client was asked last, by their names. */
  readonly asked: Readonly<Record<string, string>>;
  /** `undefined`: they were too large, so the call cannot run again. */
  readonly answers: Answers | undefined;
}

/** A run waits as long as a `requestState` lasts. */
const WAIT_MS = 600_000;
const LOOK_MS = 10_000;
/** Runs of one caller: each keeps a child. */
const MOST_WAITING = 16;
/** Characters of answers that a client brings back in its state. */
const MOST_ANSWERS = 262_144;

/** All answers of the client, those to its last questions too. `undefined`: not all are known. */
export function answersIn(
  { answers, asked }: RunState,
  responses: Readonly<Record<string, unknown>> = {},
): Answers | undefined {
  const last = Object.entries(asked).filter(([name]) => Object.hasOwn(responses, name));
  return answers && [...answers, ...last.map(([name, of]) => [of, responses[name]] as const)];
}

export class Runs {
  readonly #time: TimeProvider;
  readonly #runs = new Map<string, Run>();
  readonly #stopLooking: () => void;

  constructor(time: TimeProvider) {
    this.#time = time;
    this.#stopLooking = every(time, LOOK_MS, () => this.#expire());
  }

  add(run: Run): void {
    this.#runs.set(run.id, run);
  }

  /** The run that a client comes back to. A second request for it finds none. */
  resume(id: string | undefined): Run | undefined {
    const run = this.#runs.get(id ?? '');
    if (run?.place.waiting === undefined) return undefined;
    run.place.waiting = undefined;
    return run;
  }

  /** It waits for its client from now on. Returns the state for the client. */
  asks(run: Run): RunState {
    const { place } = run;
    if (this.#runs.has(run.id))
      place.waiting = {
        since: monotonicMs(this.#time),
        giveUp: (why) => this.#drop(run, why),
      };
    const { owner } = place.tenant;
    const own = this.#waiting().filter((one) => one.place.tenant.owner === owner);
    for (const one of own.slice(0, -MOST_WAITING))
      this.#drop(one, 'Too many calls of this caller wait for their clients');
    return this.state(run, run.id);
  }

  state({ answers, asked }: Run, run: string | undefined): RunState {
    const isKept = JSON.stringify(answers).length <= MOST_ANSWERS;
    return { run, asked, answers: isKept ? answers : undefined };
  }

  delete(run: Run): void {
    this.#runs.delete(run.id);
  }

  /** The run that waits the longest is first. */
  #waiting(): readonly Run[] {
    const since = ({ place }: Run): number => place.waiting?.since ?? Infinity;
    const waiting = [...this.#runs.values()].filter(({ place }) => place.waiting !== undefined);
    return waiting.toSorted((a, b) => since(a) - since(b));
  }

  #drop(run: Run, why: string): void {
    this.delete(run);
    run.cancel(why);
  }

  #expire(): void {
    const before = monotonicMs(this.#time) - WAIT_MS;
    for (const run of this.#waiting())
      if ((run.place.waiting?.since ?? 0) < before) this.#drop(run, 'The client did not come back');
  }

  close(): void {
    this.#stopLooking();
    for (const run of this.#runs.values()) this.#drop(run, 'The gateway stops');
  }
}
