/**
 * What every scenario has: instances on one store behind a load balancer, on loopback, a crowd of clients, and what is
 * seen of both; in the end calm, a proof, a judgement. All of it is gone when the scenario is over.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../kit/free-port.ts';
import type { Pace } from '../../simulation/life.ts';
import { Random } from '../../simulation/random.ts';
import type { ReachableStore, StoreKind } from '../backing-store.ts';
import { judge } from '../checker.ts';
import { Crowd } from '../crowd.ts';
import { type Effects, readEffects } from '../effects.ts';
import { type Absence, Instance } from '../instance.ts';
import { LiveWorld, now } from '../live-world.ts';
import { Proxy } from '../proxy.ts';

/** How the instances make their servers. */
export const SERVERS = ['factory', 'definition'] as const;
export type Servers = (typeof SERVERS)[number];

export interface ScenarioOptions {
  readonly kind: StoreKind;
  readonly seed: number;
  readonly leaseMs: number;
  /** Of the crowd: times twelve clients. */
  readonly size: number;
  /** A folder for what the instances log, for the effects file and for what happened when. */
  readonly logs?: string | undefined;
  readonly servers: Servers;
}

export interface StageOptions extends ScenarioOptions {
  /** Closed with the stage. */
  readonly store: ReachableStore;
  /** Three at most. */
  readonly instances: number;
  readonly drainMs: number;
  /** How long a tool waits for its user's answer. */
  readonly askMs?: number;
  readonly pace: Pace;
  /** Calls of official clients may fail: a connection may break before they have anything to come back with. */
  readonly usersMayFail: boolean;
}

const NAMES = ['a', 'b', 'c'];
/** How long clients wait before they reconnect: short, so that more streams are resumed in less time. */
const RETRY_MS = 60;
/** For each client to arrive. */
const PATIENCE_MS = 20_000;

export class Stage {
  readonly options: StageOptions;
  readonly world = new LiveWorld();
  /** What must not have happened. */
  readonly found: string[] = [];
  readonly random: Random;
  readonly instances: readonly Instance[];
  readonly crowd: Crowd;
  readonly #folder = mkdtempSync(join(tmpdir(), 'sojourn-chaos-'));
  /** What the tools did. */
  readonly #effects: string;
  readonly #started = now();
  #proxy: Proxy | undefined;

  private constructor(options: StageOptions, ports: readonly number[]) {
    const { world } = this;
    const { seed, leaseMs, drainMs, store, servers, askMs, logs } = options;
    this.options = options;
    this.random = new Random(seed);
    this.crowd = new Crowd(world, this.random.fork(), options);
    this.#effects = join(logs ?? this.#folder, 'effects');
    writeFileSync(this.#effects, '');
    const times = { '--lease-ms': leaseMs, '--drain-timeout-ms': drainMs, '--retry-ms': RETRY_MS };
    const flags = Object.entries(times).flat().map(String);
    const own = { SERVERS: servers, EFFECTS: this.#effects, ...(askMs !== undefined && { ASK_MS: String(askMs) }) };
    this.instances = ports.map((port, n) => {
      const { url, env } = store.reach(n);
      return new Instance(world, { name: NAMES[n] ?? '', port, store: url, flags, env: { ...own, ...env }, logs });
    });
  }

  /** Sets it up for `play`, and takes it down however that ends. */
  static async with<T>(options: StageOptions, play: (stage: Stage) => Promise<T>): Promise<T> {
    const stage = new Stage(options, await Promise.all(Array.from({ length: options.instances }, () => freePort())));
    try {
      await stage.#open();
      return await play(stage);
    } finally {
      await stage.#close();
    }
  }

  async #open(): Promise<void> {
    this.#proxy = await Proxy.listen(this.instances);
    this.world.url = this.#proxy.url;
    await Promise.all(this.instances.map((instance) => instance.begin()));
  }

  async #close(): Promise<void> {
    const { logs, store } = this.options;
    if (logs !== undefined) writeFileSync(join(logs, 'trace'), this.world.trace.join('\n'));
    this.world.close();
    await this.crowd.close();
    await this.#proxy?.close();
    for (const instance of this.instances) instance.thaw();
    await Promise.all(this.instances.map((instance) => instance.kill()));
    await store.close();
    rmSync(this.#folder, { recursive: true, force: true });
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
    await pause(this.options.leaseMs);
    await this.crowd.calm();
  }

  /** Why a request to a start may have broken by `at`; undefined: no reason is known. */
  readonly absenceOf = (start: string, at: number): Absence | undefined => {
    const reasons = this.instances.flatMap(({ absences }) =>
      absences.filter((one) => one.start === start && one.from <= at),
    );
    return reasons.find(({ kind }) => kind === 'killed') ?? reasons.at(-1);
  };

  get freezes(): Absence[] {
    return this.instances.flatMap(({ absences }) => absences.filter(({ kind }) => kind === 'frozen'));
  }

  judge(): Effects {
    const effects = readEffects(this.#effects);
    this.found.push(...judge(this.world, effects, this));
    return effects;
  }
}
