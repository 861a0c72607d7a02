/**
 * What befalls a deployment, one thing after another, by the seed. A strike at an instance is laid in ambush: there are
 * sessions that it owns and calls that run on it, so that what their clients wait for can be measured.
 */
import type { Random } from '../simulation/random.ts';
import { OUTAGES } from './backing-store.ts';
import { Ambush, type Waited } from './clients/ambush.ts';
import type { Deployment } from './deployment.ts';
import type { History } from './history.ts';
import type { Instance } from './instance.ts';
import { pause, within } from './pause.ts';

export const FAULTS = {
  kill: 'SIGKILL of an instance',
  killTwo: 'SIGKILL of two instances at once',
  freeze: 'SIGSTOP of an instance past its lease',
  freezeAndKill: 'SIGSTOP of one instance and SIGKILL of another',
  drain: 'SIGTERM of an instance',
  storeAway: 'the store killed, stopped or frozen for a while',
  cut: 'the connections of one instance to the store cut',
  partition: 'one instance without a store, past its lease',
  slow: 'the store slow',
} as const;

export type Fault = keyof typeof FAULTS;
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
    storeAway: Math.ceil(kills / 12),
    cut: linked ? Math.ceil(kills / 8) : 0,
    partition: linked ? Math.ceil(kills / 15) : 0,
    slow: Math.ceil(kills / 20),
  };
}

/** For a fault and all that is waited for around it. */
const PATIENCE_MS = 120_000;

export interface NemesisOptions {
  readonly deployment: Deployment;
  readonly history: History;
  readonly random: Random;
  readonly leaseMs: number;
}

export interface Waits {
  readonly next: number[];
  readonly inFlight: number[];
}

export class Nemesis {
  readonly #options: NemesisOptions;
  readonly done: Record<Fault, number> = Object.fromEntries(Object.keys(FAULTS).map((name) => [name, 0])) as never;
  readonly afterKill: Waits = { next: [], inFlight: [] };
  readonly afterFreeze: Waits = { next: [], inFlight: [] };
  #ambushes = 0;

  constructor(options: NemesisOptions) {
    this.#options = options;
  }

  async run(plan: Plan, progress: (fault: Fault, left: number) => void): Promise<void> {
    const { random } = this.#options;
    const left = Object.entries(plan).flatMap(([fault, times]) => Array.from({ length: times }, () => fault as Fault));
    while (left.length > 0) {
      const [fault = 'kill'] = left.splice(random.int(left.length), 1);
      progress(fault, left.length);
      // A client that waits for ever must not hold up everything else.
      const over = await within(
        PATIENCE_MS,
        this.#befall(fault).then(() => true),
      );
      if (over === undefined)
        this.#options.history.violation('hung', `a client waits for ${PATIENCE_MS} ms since: ${FAULTS[fault]}`);
      this.done[fault] += 1;
      await pause(random.between(50, 400));
    }
  }

  get #instances(): readonly Instance[] {
    return this.#options.deployment.instances;
  }

  async #befall(fault: Fault): Promise<void> {
    const { random, deployment, leaseMs, history } = this.#options;
    const { store } = deployment;
    history.happened(fault);
    const [victim, second] = this.#two();
    const n = this.#instances.indexOf(victim);
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
      case 'storeAway':
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
    const first = this.#options.random.pick(this.#instances);
    const second = this.#options.random.pick(this.#instances.filter((one) => one !== first));
    return [first, second];
  }

  async #kill(victim: Instance): Promise<void> {
    const ambush = await this.#ambush(victim);
    victim.slay();
    const waited = await ambush.struck();
    this.#keep(this.afterKill, waited);
    await victim.kill();
    await pause(this.#options.random.between(0, 300));
    await Promise.all([victim.begin(), ambush.clear()]);
  }

  async #freeze(victim: Instance, killed?: Instance): Promise<void> {
    const { random, leaseMs } = this.#options;
    const ambush = await this.#ambush(victim);
    victim.freeze();
    const waiting = ambush.struck();
    await pause(leaseMs * random.between(0.1, 0.6));
    if (killed !== undefined) await killed.kill();
    await pause(leaseMs * random.between(1, 1.6));
    victim.thaw();
    const waited = await waiting;
    if (killed === undefined) this.#keep(this.afterFreeze, waited);
    else await killed.begin();
    await ambush.clear();
  }

  #ambush(victim: Instance): Promise<Ambush> {
    const { history, random, deployment } = this.#options;
    const others = (): string => {
      const running = this.#instances.filter((one) => one !== victim && one.running);
      return running.length === 0 ? deployment.proxy.url : random.pick(running).url;
    };
    const number = (this.#ambushes += 1);
    return Ambush.lay({ history, random, number, victim, others });
  }

  #keep(waits: Waits, { next, inFlight }: Waited): void {
    waits.next.push(...next);
    waits.inFlight.push(...inFlight);
  }
}
