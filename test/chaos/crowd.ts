/**
 * Every kind of client at once: both lines of the official ones, raw ones, each in both session eras, and 2026-07-28.
 */
import type { Deployment } from './deployment.ts';
import { type History, now } from './history.ts';
import type { Random } from '../simulation/random.ts';
import { pause, within } from './pause.ts';
import type { Actor } from './clients/actor.ts';
import { live, type Pace, prove } from './clients/life.ts';
import { type Line, OfficialActor } from './clients/official-actor.ts';
import { RawActor } from './clients/raw-actor.ts';

interface Kind {
  readonly name: string;
  readonly line: Line | 'raw';
  readonly version: string;
  /** Of twelve. */
  readonly share: number;
}

const KINDS: readonly Kind[] = [
  { name: 'raw', line: 'raw', version: '2025-11-25', share: 3 },
  { name: 'rawold', line: 'raw', version: '2025-06-18', share: 2 },
  { name: 'one', line: 'v1', version: '2025-11-25', share: 2 },
  { name: 'oneold', line: 'v1', version: '2025-06-18', share: 1 },
  { name: 'two', line: 'v2', version: '2025-11-25', share: 2 },
  { name: 'twoold', line: 'v2', version: '2025-06-18', share: 1 },
  { name: 'modern', line: 'v2', version: '2026-07-28', share: 1 },
];

export interface CrowdOptions {
  readonly deployment: Deployment;
  readonly history: History;
  readonly random: Random;
  /** Times twelve clients. */
  readonly size: number;
  readonly pace: Pace;
  /** Clients in other languages besides. */
  readonly others?: readonly Actor[] | undefined;
}

export class Crowd {
  readonly #options: CrowdOptions;
  readonly #actors: readonly Actor[];
  #lives: Promise<unknown> = Promise.resolve();
  #over = false;

  constructor(options: CrowdOptions) {
    this.#options = options;
    const { deployment, history, random, size, others = [] } = options;
    const route = (): string => deployment.proxy.url;
    const own = KINDS.flatMap(({ name, line, version, share }) =>
      Array.from({ length: Math.max(1, Math.round(share * size)) }, (_, n) => {
        const given = { history, random: random.fork(), version, name: `${name}${n}`, route };
        return line === 'raw' ? new RawActor(given) : new OfficialActor({ ...given, line });
      }),
    );
    this.#actors = [...own, ...others];
  }

  get size(): number {
    return this.#actors.length;
  }

  start(): void {
    const { random, pace } = this.#options;
    this.#lives = Promise.all(this.#actors.map((actor) => live(actor, random.fork(), pace, () => this.#over)));
  }

  /** No client begins a new call; running calls are awaited, no longer than `patienceMs`. */
  async rest(patienceMs: number): Promise<void> {
    this.#over = true;
    const deadline = now() + patienceMs;
    await within(patienceMs, this.#lives);
    const resting = (): boolean => this.#actors.every(({ pending }) => pending.size === 0);
    while (!resting() && now() < deadline) await pause(20);
  }

  /** In calm weather every session that was not ended works. */
  async prove(patienceMs: number): Promise<void> {
    const { history } = this.#options;
    await Promise.all(
      this.#actors.map(async (actor) => {
        if (!actor.ready) return;
        const { story } = actor;
        let over = false;
        const proven = await within(
          patienceMs,
          prove(actor, () => over).then(() => !over),
        );
        over = true;
        if (proven !== true)
          history.violation(
            'lost',
            `session ${story?.id} of ${actor.name} does not work within ${patienceMs} ms of calm`,
          );
      }),
    );
    // What was pushed last is on its way.
    await pause(500);
  }

  async close(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#actors.map((actor) => actor.close()));
  }
}
