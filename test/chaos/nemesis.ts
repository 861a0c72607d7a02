/** What befalls a deployment, one thing after another, by the seed. */
import { setTimeout as pause } from 'node:timers/promises';
import { systemTime, within } from '../../src/base/system.ts';
import { type BackingStore, OUTAGES } from './backing-store.ts';
import type { Instance } from './instance.ts';
import type { Stage } from './stage.ts';

type Fault =
  | 'kill'
  | 'killTwo'
  | 'freeze'
  | 'freezeAndKill'
  | 'drain'
  | 'storeUnavailable'
  | 'cut'
  | 'partition'
  | 'slow';
export type Plan = Readonly<Partial<Record<Fault, number>>>;

/** The rest of a plan follows from how often instances are killed and frozen. */
export function planOf(kills: number, stops: number, linked: boolean): Plan {
  const together = Math.floor(Math.min(kills / 20, stops / 5));
  const killTwo = Math.floor(kills / 20);
  return {
    kill: kills - together - 2 * killTwo,
    killTwo,
    freeze: stops - together,
    freezeAndKill: together,
    drain: Math.ceil(kills / 10),
    storeUnavailable: Math.ceil(kills / 12),
    cut: linked ? Math.ceil(kills / 8) : 0,
    partition: linked ? Math.ceil(kills / 15) : 0,
    slow: Math.ceil(kills / 20),
  };
}

/** For a fault and all that is waited for around it. */
const PATIENCE_MS = 120_000;

export class Nemesis {
  readonly #stage: Stage;
  readonly #store: BackingStore;

  constructor(stage: Stage, store: BackingStore) {
    this.#stage = stage;
    this.#store = store;
  }

  async run(plan: Plan): Promise<void> {
    const { random, world } = this.#stage;
    const left = Object.entries(plan).flatMap(([fault, times]) =>
      Array.from({ length: times }, () => fault as Fault),
    );
    while (left.length > 0) {
      const [fault = 'kill'] = left.splice(random.int(left.length), 1);
      // A client that waits for ever must not hold up everything else.
      const befallen = this.#befall(fault).then(() => true);
      const isOver = await within(systemTime, PATIENCE_MS, befallen, () => false);
      if (!isOver) world.wrong(`a client waits for ${PATIENCE_MS} ms since: ${fault}`);
      await pause(random.between(50, 400));
    }
  }

  async #befall(fault: Fault): Promise<void> {
    const { random, world, instances, options } = this.#stage;
    const { leaseMs } = options;
    const store = this.#store;
    world.note(fault);
    const [victim, second] = this.#two();
    const n = instances.indexOf(victim);
    switch (fault) {
      case 'kill':
        return this.#kill(victim);
      case 'killTwo':
        await Promise.all([victim.kill(), second.kill()]);
        await pause(random.between(0, 500));
        await Promise.all([victim.begin(), second.begin()]);
        return;
      case 'freeze':
        return this.#freeze(victim);
      case 'freezeAndKill':
        return this.#freeze(victim, second);
      case 'drain':
        await victim.drain();
        return victim.begin();
      case 'storeUnavailable':
        return store.away(random.between(100, leaseMs * 1.5), random.pick(OUTAGES));
      case 'cut':
        store.links[n]?.refuse(true);
        store.links[n]?.cutAll();
        await pause(random.between(0, leaseMs / 2));
        store.links[n]?.refuse(false);
        return;
      case 'partition':
        store.links[n]?.blackHole(true);
        await pause(leaseMs * random.between(0.3, 2));
        store.links[n]?.heal();
        return;
      case 'slow':
        return store.slow(leaseMs);
    }
  }

  #two(): [Instance, Instance] {
    const { random, instances } = this.#stage;
    const first = random.pick(instances);
    const second = random.pick(instances.filter((one) => one !== first));
    return [first, second];
  }

  async #kill(victim: Instance): Promise<void> {
    await victim.kill();
    await pause(this.#stage.random.between(0, 300));
    await victim.begin();
  }

  async #freeze(victim: Instance, killed?: Instance): Promise<void> {
    const { random, options } = this.#stage;
    const { leaseMs } = options;
    victim.freeze();
    await pause(leaseMs * random.between(0.1, 0.6));
    await killed?.kill();
    await pause(leaseMs * random.between(1, 1.6));
    victim.thaw();
    await killed?.begin();
  }
}
