/** Three instances on one store, behind a load balancer, on loopback; all of it is gone when it is closed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BackingStore, openBackingStore, type StoreKind } from './backing-store.ts';
import type { History } from './history.ts';
import { type Absence, Instance } from './instance.ts';
import { Proxy } from './proxy.ts';

export const INSTANCES = ['a', 'b', 'c'] as const;

export interface DeploymentOptions {
  readonly kind: StoreKind;
  readonly leaseMs: number;
  readonly drainMs: number;
  readonly history: History;
  /** How many; three when left out. */
  readonly instances?: number;
  /** A folder for what the instances log, and for the effects file. */
  readonly logs?: string | undefined;
}

/** How soon clients are told to come back. */
const RETRY_MS = 60;

export class Deployment {
  readonly store: BackingStore;
  readonly instances: readonly Instance[];
  readonly proxy: Proxy;
  /** What the tools did. */
  readonly effects: string;
  readonly #folder: string;

  private constructor(
    store: BackingStore,
    instances: readonly Instance[],
    proxy: Proxy,
    folder: string,
    effects: string,
  ) {
    this.store = store;
    this.instances = instances;
    this.proxy = proxy;
    this.#folder = folder;
    this.effects = effects;
  }

  static async open({
    kind,
    leaseMs,
    drainMs,
    history,
    logs,
    instances: count = INSTANCES.length,
  }: DeploymentOptions): Promise<Deployment> {
    const folder = mkdtempSync(join(tmpdir(), 'sojourn-chaos-'));
    const effects = effectsIn(logs ?? folder);
    writeFileSync(effects, '');
    const store = await openBackingStore(kind, count);
    const instances = INSTANCES.slice(0, count).map((name, n) => {
      const times = { '--lease-ms': leaseMs, '--drain-timeout-ms': drainMs, '--retry-ms': RETRY_MS };
      const args = ['--store', store.url(n), ...Object.entries(times).flat().map(String)];
      // It is started again, as a supervisor does; and so the run goes on.
      const ended = (instance: Instance, how: string): void => {
        history.violation('crashed', how);
        instance.begin().catch((error: unknown) => history.violation('crashed', String(error)));
      };
      return new Instance({ name, args, effects, logs, ended, happened: (what) => history.happened(what) });
    });
    const deployment = new Deployment(store, instances, await Proxy.listen(instances), folder, effects);
    try {
      await Promise.all(instances.map((instance) => instance.begin()));
    } catch (error) {
      await deployment.close();
      throw error;
    }
    return deployment;
  }

  /** Why a request to a start (or to its URL) may have broken by `at`; undefined: no reason is known. */
  readonly absenceOf = (given: string, at: number): Absence | undefined => {
    for (const { name, urls, absences } of this.instances) {
      const start = urls.get(given) ?? given;
      if (!start.startsWith(`${name}.`)) continue;
      const reasons = absences.filter((one) => one.start === start && one.from <= at);
      return reasons.find(({ kind }) => kind === 'killed') ?? reasons.at(-1);
    }
    return undefined;
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

const effectsIn = (folder: string): string => join(folder, 'effects');
