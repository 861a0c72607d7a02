/** Instances on one store, behind a load balancer, on loopback; all of it is gone when it is closed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../kit/free-port.ts';
import type { ReachableStore } from './backing-store.ts';
import { type Absence, Instance } from './instance.ts';
import type { LiveWorld } from './live-world.ts';
import { Proxy } from './proxy.ts';

export interface DeploymentOptions {
  /** Closed with the deployment. */
  readonly store: ReachableStore;
  readonly leaseMs: number;
  readonly drainMs: number;
  readonly world: LiveWorld;
  /** Three at most. */
  readonly instances: number;
  /** Variables of each instance. */
  readonly env: Readonly<Record<string, string>>;
  /** A folder for what the instances log, and for the effects file. */
  readonly logs?: string | undefined;
}

const NAMES = ['a', 'b', 'c'];
/** How long clients wait before they reconnect: short, so that more streams are resumed in less time. */
const RETRY_MS = 60;

export class Deployment {
  readonly store: ReachableStore;
  readonly instances: readonly Instance[];
  readonly proxy: Proxy;
  /** What the tools did. */
  readonly effects: string;

  readonly #folder: string;

  private constructor(
    { store, instances, proxy, effects }: Pick<Deployment, 'store' | 'instances' | 'proxy' | 'effects'>,
    folder: string,
  ) {
    this.store = store;
    this.instances = instances;
    this.proxy = proxy;
    this.effects = effects;
    this.#folder = folder;
  }

  static async open({ store, leaseMs, drainMs, world, instances: count, env, logs }: DeploymentOptions) {
    const folder = mkdtempSync(join(tmpdir(), 'sojourn-chaos-'));
    const effects = join(logs ?? folder, 'effects');
    writeFileSync(effects, '');
    const times = { '--lease-ms': leaseMs, '--drain-timeout-ms': drainMs, '--retry-ms': RETRY_MS };
    // It is started again, as a supervisor does, and the run continues.
    const ended = (instance: Instance, how: string): void => {
      world.wrong(`crashed: ${how}`);
      instance.begin().catch((error: unknown) => world.wrong(`crashed: ${String(error)}`));
    };
    const happened = (what: string): void => world.note(what);
    const flags = Object.entries(times).flat().map(String);
    const ports = await Promise.all(Array.from({ length: count }, () => freePort()));
    const instances = ports.map((port, n) => {
      const { url, env: more } = store.reach(n);
      const given = { ...env, ...more, EFFECTS: effects };
      return new Instance({ name: NAMES[n] ?? '', port, store: url, flags, env: given, logs, ended, happened });
    });
    const proxy = await Proxy.listen(instances);
    world.url = proxy.url;
    const deployment = new Deployment({ store, instances, proxy, effects }, folder);
    try {
      await Promise.all(instances.map((instance) => instance.begin()));
    } catch (error) {
      await deployment.close();
      throw error;
    }
    return deployment;
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

  async close(): Promise<void> {
    await this.proxy.close();
    for (const instance of this.instances) instance.thaw();
    await Promise.all(this.instances.map((instance) => instance.kill()));
    await this.store.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
