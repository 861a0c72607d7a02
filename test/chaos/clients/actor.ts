/** A client of the deployment with a session (or none, in 2026-07-28), as those see it who tell it what to do. */
import type { Call, History, Story } from '../history.ts';
import type { Random } from '../../simulation/random.ts';

/** What a tool is asked to do. */
export interface Work {
  /** How long it takes. */
  readonly ms?: number;
  /** Of its progress. */
  readonly steps?: number;
  /** The client leaves its connection after so many ms and comes back by `Last-Event-ID`, where that can be done. */
  readonly leaveAfter?: number;
}

export interface Actor {
  readonly name: string;
  /** Of the session that is open; undefined: there is none, or none is needed. */
  readonly story: Story | undefined;
  readonly stateless: boolean;
  /** Whether it can call. */
  readonly ready: boolean;
  /** Opens a session and listens. Resolves to `false` when no instance would open one. */
  open(): Promise<boolean>;
  call(tool: string, work?: Work): Promise<Call>;
  /** Breaks the connection of the GET stream; it is opened again. */
  dropGet(): void;
  delete(): Promise<void>;
  close(): Promise<void>;
  /** Calls that have not ended. */
  readonly pending: ReadonlySet<Promise<Call>>;
}

export interface ActorOptions {
  readonly history: History;
  readonly name: string;
  readonly version: string;
  readonly random: Random;
  /** Of the load balancer. */
  readonly url: string;
}

/** A person, or a model, thinks this long at most. */
export const ANSWER_MS = 40;
/** How long a client tries to have a request accepted. */
export const PATIENCE_MS = 45_000;

/** The numbers of a client's sessions and calls. */
export class Nonces {
  readonly #name: string;
  #sessions = 0;
  #calls = 0;

  constructor(name: string) {
    this.#name = name;
  }

  get prefix(): string {
    return `${this.#name}.${this.#sessions}`;
  }

  nextSession(): void {
    this.#sessions += 1;
  }

  next(): string {
    return `${this.prefix}:${(this.#calls += 1)}`;
  }
}

/** Calls while they run. */
export class Pending extends Set<Promise<Call>> {
  track(calling: Promise<Call>): Promise<Call> {
    this.add(calling);
    void calling.finally(() => this.delete(calling));
    return calling;
  }
}
