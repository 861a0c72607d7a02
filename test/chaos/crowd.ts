/** Every kind of client at once: raw ones of both session eras, both lines of the official ones, and 2026-07-28. */
import { setTimeout as pause } from 'node:timers/promises';
import { systemTime, within } from '../../src/base/system.ts';
import { SimClient } from '../simulation/client.ts';
import { life, type Living, type Pace } from '../simulation/life.ts';
import type { Random } from '../simulation/random.ts';
import { ACTIONS } from '../simulation/scenario.ts';
import { OFFICIAL, OfficialClient } from './clients/official.ts';
import type { LiveWorld } from './live-world.ts';
import type { StageOptions } from './stage.ts';

/** Of twelve clients. */
const RAW = [
  { name: 'raw', version: '2025-11-25', share: 3 },
  { name: 'rawold', version: '2025-06-18', share: 2 },
] as const;
const PROOFS = ['count', 'peek', 'ask', 'effect', 'push'];
/** What an official client cannot do, or is not told to do. */
const WITHOUT = { list: 0, cancel: 0, leave: 0, leaveGet: 0, trespass: 0 };
/** What needs no session. */
const MODERN = { effect: 4, slowEffect: 3, read: 2, slowRead: 1, slow: 2, confirm: 3 };
const NOTHING = Object.fromEntries(
  Object.keys(ACTIONS).map((name) => [name, 0]),
) as Pace['actions'];
const OFFICIALS = [
  { name: 'one', connect: OFFICIAL.v1, share: 3, proofs: PROOFS, actions: WITHOUT },
  { name: 'two', connect: OFFICIAL.v2, share: 3, proofs: PROOFS, actions: WITHOUT },
  {
    name: 'modern',
    connect: OFFICIAL.modern,
    share: 1,
    proofs: ['effect', 'read', 'confirm'],
    actions: { ...NOTHING, ...MODERN },
  },
] as const;

/** Before the first fault. */
const WARM_UP_MS = 1_000;
/** After the last fault: for what was begun before, and for what must work now. */
const CALM_MS = 45_000;

export class Crowd {
  readonly #world: LiveWorld;
  readonly #random: Random;
  readonly #pace: Pace;
  readonly #raw: readonly SimClient[];
  readonly #official: readonly OfficialClient[];
  readonly #living = new Set<Living>();
  #lives: Promise<unknown> = Promise.resolve();

  constructor(
    world: LiveWorld,
    random: Random,
    { longestMs, actions, size, usersMayFail: mayFail }: StageOptions,
  ) {
    this.#world = world;
    this.#random = random;
    this.#pace = { thinkMs: [0, 200], concurrency: 4, longestMs, actions };
    const named = <T extends { readonly name: string; readonly share: number }>(
      list: readonly T[],
    ): T[] =>
      list.flatMap((one) => {
        const length = Math.max(1, Math.round(one.share * size));
        return Array.from({ length }, (_, n) => ({ ...one, name: `${one.name}${n}` }));
      });
    this.#raw = named(RAW).map(
      (raw) => new SimClient({ world, random: random.fork(), answersTwice: 0.1, ...raw }),
    );
    this.#official = named(OFFICIALS).map(
      (official) => new OfficialClient({ world, random: random.fork(), mayFail, ...official }),
    );
  }

  /** Resolves when each client has arrived, or `patienceMs` later, and has begun to call. */
  async start(patienceMs: number): Promise<void> {
    const world = this.#world;
    const live = async (client: Living, actions: Partial<Pace['actions']> = {}): Promise<void> => {
      this.#living.add(client);
      const pace = { ...this.#pace, actions: { ...this.#pace.actions, ...actions } };
      await life(world, pace, client, this.#random.fork(), this.#raw);
      this.#living.delete(client);
    };
    this.#lives = Promise.all([
      ...this.#raw.map((client) => live(client)),
      ...this.#official.map((client) => live(client, client.actions)),
    ]);
    const deadline = world.now + patienceMs;
    while ([...this.#living].some(({ gone }) => gone) && world.now < deadline) await pause(20);
    await pause(WARM_UP_MS);
  }

  /** No client begins a new call; what was begun ends, and every session that was not ended works. */
  async calm(): Promise<void> {
    const world = this.#world;
    world.activeUntil = world.now;
    world.healed = true;
    await within(systemTime, CALM_MS, this.#lives, () => undefined);
    for (const { name, story } of this.#living)
      world.wrong(`${name} could not finish within ${CALM_MS} ms of calm: session ${story?.id}`);
  }

  async close(): Promise<void> {
    await Promise.all(this.#official.map((client) => client.close()));
  }
}
