/**
 * What every scenario has: a deployment, a crowd on it, what is seen of both; in the end calm, a proof, a judgement.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Pace } from '../../simulation/life.ts';
import { Random } from '../../simulation/random.ts';
import type { ReachableStore, StoreKind } from '../backing-store.ts';
import { judge } from '../checker.ts';
import { Crowd } from '../crowd.ts';
import { Deployment } from '../deployment.ts';
import { type Effects, readEffects } from '../effects.ts';
import { LiveWorld, now } from '../live-world.ts';
import { pause } from '../pause.ts';

/** How the instances make their servers. */
export const SERVERS = ['factory', 'definition'] as const;
export type Servers = (typeof SERVERS)[number];

export interface ScenarioOptions {
  readonly kind: StoreKind;
  readonly seed: number;
  readonly leaseMs: number;
  /** Of the crowd: times twelve clients. */
  readonly size: number;
  readonly logs?: string | undefined;
  readonly servers: Servers;
}

interface StageOptions extends ScenarioOptions {
  readonly store: ReachableStore;
  readonly instances: number;
  readonly drainMs: number;
  /** How long a tool waits for its user's answer. */
  readonly askMs?: number;
  readonly pace: Pace;
  /** Calls of official clients may fail: a connection may break before they have anything to come back with. */
  readonly usersMayFail: boolean;
}

/** For each client to arrive. */
const PATIENCE_MS = 20_000;

export class Stage {
  readonly options: StageOptions;
  readonly world: LiveWorld;
  /** What must not have happened. */
  readonly found: string[] = [];
  readonly random: Random;
  readonly deployment: Deployment;
  readonly crowd: Crowd;
  readonly #started = now();

  private constructor(options: StageOptions, deployment: Deployment, world: LiveWorld) {
    this.options = options;
    this.world = world;
    this.deployment = deployment;
    this.random = new Random(options.seed);
    const { size, pace, usersMayFail } = options;
    this.crowd = new Crowd({ world, random: this.random.fork(), size, pace, usersMayFail });
  }

  /** Sets it up for `play`, and takes it down however that ends. */
  static async with<T>(options: StageOptions, play: (stage: Stage) => Promise<T>): Promise<T> {
    const { logs, askMs, servers } = options;
    const world = new LiveWorld();
    const env = { SERVERS: servers, ...(askMs !== undefined && { ASK_MS: String(askMs) }) };
    const deployment = await Deployment.open({ ...options, world, env });
    const stage = new Stage(options, deployment, world);
    try {
      return await play(stage);
    } finally {
      if (logs !== undefined) writeFileSync(join(logs, 'trace'), world.trace.join('\n'));
      world.close();
      await stage.crowd.close();
      await deployment.close();
    }
  }

  get seconds(): number {
    return (now() - this.#started) / 1000;
  }

  /** Resolves when the clients are there and call. */
  arrive(): Promise<void> {
    return this.crowd.start(PATIENCE_MS);
  }

  /** No more faults: everything that was begun ends, and every session works. */
  async calm(): Promise<void> {
    const { leaseMs } = this.options;
    await pause(leaseMs);
    await this.crowd.calm();
  }

  judge(): Effects {
    const effects = readEffects(this.deployment.effects);
    this.found.push(...judge(this.world, effects, this.deployment));
    return effects;
  }
}
