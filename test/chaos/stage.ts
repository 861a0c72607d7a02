/**
 * What every scenario has: instances on one store, on loopback, a crowd of clients at any of them, and what is seen of
 * both; in the end calm, a proof, a judgement. All of it is gone when the scenario is over.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../kit/free-port.ts';
import { type Call, grouped } from '../simulation/ledger.ts';
import type { Pace } from '../simulation/life.ts';
import { Random } from '../simulation/random.ts';
import { INSTANCES, type ReachableStore, type StoreKind } from './backing-store.ts';
import { judge } from './checker.ts';
import { Crowd } from './crowd.ts';
import { readEffects } from './effects.ts';
import { type Absence, Instance } from './instance.ts';
import { LiveWorld } from './live-world.ts';

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
  readonly drainMs: number;
  /** How long a tool waits for its user's answer. */
  readonly askMs?: number;
  readonly actions: Pace['actions'];
  /** The longest that a tool takes. */
  readonly longestMs: number;
  /** Calls of official clients may fail: a connection may break before they have anything to come back with. */
  readonly usersMayFail: boolean;
}

/** What a run says in the end. */
export interface Report {
  readonly store: StoreKind;
  readonly sessions: number;
  readonly trespasses: number;
  readonly calls: number;
  /** How the calls ended. */
  readonly ends: Readonly<Record<string, number>>;
  /** What must not have happened. */
  readonly found: readonly string[];
}

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
    const own = {
      SERVERS: servers,
      EFFECTS: this.#effects,
      ...(askMs !== undefined && { ASK_MS: String(askMs) }),
    };
    this.instances = ports.map((port, n) => {
      const { url, env } = store.reach(n);
      return new Instance(world, {
        name: INSTANCES[n] ?? '',
        port,
        store: url,
        flags,
        env: { ...own, ...env },
        logs,
      });
    });
    world.upstreams = this.instances;
  }

  /**
   * Sets it up, and takes it down however that ends. Clients call while `befall` runs; then comes a calm in which all that
   * was begun ends, and every session works. What `befall` returns judges that, too.
   */
  static async play(
    options: StageOptions,
    befall: (stage: Stage) => Promise<void | (() => void)>,
  ): Promise<Report> {
    const stage = new Stage(options, await Promise.all(INSTANCES.map(() => freePort())));
    const { instances, crowd } = stage;
    try {
      await Promise.all(instances.map((instance) => instance.begin()));
      await crowd.start(PATIENCE_MS);
      const judges = await befall(stage);
      await pause(options.leaseMs);
      await crowd.calm();
      judges?.();
      return stage.#judged();
    } finally {
      await stage.#close();
    }
  }

  async #close(): Promise<void> {
    const { logs, store } = this.options;
    if (logs !== undefined) writeFileSync(join(logs, 'trace'), this.world.trace.join('\n'));
    this.world.close();
    await this.crowd.close();
    for (const instance of this.instances) instance.thaw();
    await Promise.all(this.instances.map((instance) => instance.kill()));
    await store.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Why a request to a start may have broken by `at`; undefined: no reason is known. */
  readonly absenceOf = (start: string, at: number): Absence | undefined => {
    const reasons = this.instances.flatMap(({ absences }) =>
      absences.filter((one) => one.start === start && one.from <= at),
    );
    return reasons.find(({ kind }) => kind === 'killed') ?? reasons.at(-1);
  };

  get freezes(): Absence[] {
    return this.instances.flatMap(({ absences }) =>
      absences.filter(({ kind }) => kind === 'frozen'),
    );
  }

  #judged(): Report {
    const { found, world, options } = this;
    found.push(...judge(world, readEffects(this.#effects), this));
    const { calls, sessions, trespasses } = world.ledger;
    const ends = [...grouped(calls, nameOf)].map(([name, of]): [string, number] => [
      name,
      of.length,
    ]);
    return {
      store: options.kind,
      sessions: sessions.size,
      trespasses,
      calls: calls.length,
      ends: Object.fromEntries(ends),
      found,
    };
  }
}

const nameOf = ({ ending }: Call): string =>
  ending?.kind === 'error' ? `error ${ending.reason}` : (ending?.kind ?? 'no end');
