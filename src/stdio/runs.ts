/** The runs of a program that wait for their clients, and the state that their clients bring. */
import { every, monotonicMs } from '../base/system.ts';
import type { TimeProvider } from '../base/types.ts';
import type { Place } from './place.ts';
import type { Answers, Run } from './run.ts';

export interface RunState {
  /** `undefined`: the call ended in the child without an effect, and runs again. */
  readonly run: string | undefined;
  /** Digests of the questions that its client was asked last, by their names. */
  readonly asked: Readonly<Record<string, string>>;
  /** `undefined`: they were too large, so the call cannot run again. */
  readonly answers: Answers | undefined;
}

/** As long as a `requestState` lasts. */
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

interface Entry {
  readonly run: Run;
  readonly place: Place;
  /** When its client was asked. `undefined`: its client waits for an answer. */
  askedAt: number | undefined;
}

export class Runs {
  readonly #time: TimeProvider;
  readonly #entries = new Map<string, Entry>();
  readonly #stopLooking: () => void;

  constructor(time: TimeProvider) {
    this.#time = time;
    this.#stopLooking = every(time, LOOK_MS, () => this.#expire());
  }

  add(run: Run, place: Place): void {
    this.#entries.set(run.id, { run, place, askedAt: undefined });
  }

  /** The run that a client comes back to. A second request for it finds none. */
  resume(id: string | undefined): Run | undefined {
    const entry = id === undefined ? undefined : this.#entries.get(id);
    if (entry?.askedAt === undefined) return undefined;
    entry.askedAt = undefined;
    return entry.run;
  }

  /** It waits for its client from now on. Returns the state for the client. */
  asks(run: Run): RunState {
    const since = monotonicMs(this.#time);
    const entry = this.#entries.get(run.id);
    if (entry !== undefined) {
      entry.askedAt = since;
      entry.place.waiting = { since, giveUp: (why) => this.#drop(entry, why) };
    }
    const { owner } = entry?.place.tenant ?? {};
    const waiting = this.#waiting().filter(({ place }) => place.tenant.owner === owner);
    const surplus = waiting.slice(0, Math.max(0, waiting.length - MOST_WAITING));
    for (const one of surplus)
      this.#drop(one, 'Too many calls of this caller wait for their clients');
    return this.state(run, run.id);
  }

  state({ answers, asked }: Run, run: string | undefined): RunState {
    const isKept = JSON.stringify(answers).length <= MOST_ANSWERS;
    return { run, asked, answers: isKept ? answers : undefined };
  }

  delete(run: Run): void {
    this.#entries.delete(run.id);
  }

  /** The one that waits the longest is first. */
  #waiting(): readonly Entry[] {
    const waiting = [...this.#entries.values()].filter(({ askedAt }) => askedAt !== undefined);
    return waiting.toSorted((a, b) => (a.askedAt ?? 0) - (b.askedAt ?? 0));
  }

  #drop({ run }: Entry, why: string): void {
    this.delete(run);
    run.cancel(why);
  }

  #expire(): void {
    const before = monotonicMs(this.#time) - WAIT_MS;
    for (const entry of this.#waiting())
      if ((entry.askedAt ?? 0) < before) this.#drop(entry, 'The client did not come back');
  }

  close(): void {
    this.#stopLooking();
    for (const entry of this.#entries.values()) this.#drop(entry, 'The gateway stops');
  }
}
