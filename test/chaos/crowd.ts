/** Every kind of client at once: raw ones of both session eras, both lines of the official ones, and 2026-07-28. */
import type { Deployment } from './deployment.ts';
import { type History, now } from './history.ts';
import type { Random } from '../simulation/random.ts';
import { pause, within } from './pause.ts';
import type { Actor } from './clients/actor.ts';
import { live, type Pace, prove } from './clients/life.ts';
import { OFFICIAL } from './clients/official.ts';
import { RawActor } from './clients/raw-actor.ts';
import { UserActor } from './clients/user-actor.ts';

/** Of twelve clients. */
const RAW = [
  { name: 'raw', version: '2025-11-25', share: 3 },
  { name: 'rawold', version: '2025-06-18', share: 2 },
] as const;
const USERS = [
  { name: 'one', connect: OFFICIAL.v1, share: 3 },
  { name: 'two', connect: OFFICIAL.v2, share: 3 },
  { name: 'modern', connect: OFFICIAL.modern, share: 1 },
] as const;

/** Before the first fault. */
const WARM_UP_MS = 1_000;

export interface CrowdOptions {
  readonly deployment: Deployment;
  readonly history: History;
  readonly random: Random;
  /** Times twelve clients. */
  readonly size: number;
  readonly pace: Pace;
  readonly usersMayFail: boolean;
}

export class Crowd {
  readonly #options: CrowdOptions;
  readonly #actors: readonly Actor[];
  #lives: Promise<unknown> = Promise.resolve();
  #over = false;

  constructor(options: CrowdOptions) {
    this.#options = options;
    const { deployment, history, random, size, usersMayFail: mayFail } = options;
    const { url } = deployment.proxy;
    const named = <T extends { readonly name: string; readonly share: number }>(list: readonly T[]): T[] =>
      list.flatMap((one) =>
        Array.from({ length: Math.max(1, Math.round(one.share * size)) }, (_, n) => ({
          ...one,
          name: `${one.name}${n}`,
        })),
      );
    this.#actors = [
      ...named(RAW).map((raw) => new RawActor({ history, random: random.fork(), url, ...raw })),
      ...named(USERS).map((kind) => new UserActor({ history, random: random.fork(), kind, url, mayFail })),
    ];
  }

  get size(): number {
    return this.#actors.length;
  }

  /** Resolves when each client has arrived, or `patienceMs` later, and has begun to call. */
  async start(patienceMs: number): Promise<void> {
    const { random, pace } = this.#options;
    this.#lives = Promise.all(this.#actors.map((actor) => live(actor, random.fork(), pace, () => this.#over)));
    const deadline = now() + patienceMs;
    while (!this.#actors.every(({ ready }) => ready) && now() < deadline) await pause(20);
    await pause(WARM_UP_MS);
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
