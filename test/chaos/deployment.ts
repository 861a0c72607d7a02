/** Instances on one store, behind a load balancer, on loopback; all of it is gone when it is closed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BackingStore, openBackingStore, type StoreKind } from './backing-store.ts';
import type { History } from './history.ts';
import { type Absence, Instance } from './instance.ts';
import { Proxy } from './proxy.ts';

const INSTANCES = ['a', 'b', 'c'] as const;

export interface DeploymentOptions {
  readonly kind: StoreKind;
  readonly leaseMs: number;
  readonly drainMs: number;
  readonly history: History;
  /** How many; three when left out. */
  readonly instances?: number;
  /**
   * Of another deployment, which closes it: this one has another name on it, and uses its links from `firstLink` on.
   */
  readonly shared?: { readonly store: BackingStore; readonly firstLink: number; readonly name: string };
  /** `--retry-ms`; 60 when left out, so that more streams are resumed in less time. */
  readonly retryMs?: number;
  /** Further arguments and variables of each instance. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** A folder for what the instances log, and for the effects file. */
  readonly logs?: string | undefined;
}

/** How long clients wait before they reconnect. */
const RETRY_MS = 60;

export class Deployment {
  readonly store: BackingStore;
  readonly instances: readonly Instance[];
  readonly proxy: Proxy;
  /** What the tools did. */
  readonly effects: string;
  readonly #folder: string;
  readonly #ownsStore: boolean;

  private constructor(
    { store, ownsStore }: { readonly store: BackingStore; readonly ownsStore: boolean },
    instances: readonly Instance[],
    proxy: Proxy,
    { folder, effects }: { readonly folder: string; readonly effects: string },
  ) {
    this.store = store;
    this.#ownsStore = ownsStore;
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
    shared,
    retryMs = RETRY_MS,
    args: more = [],
    env,
  }: DeploymentOptions): Promise<Deployment> {
    const folder = mkdtempSync(join(tmpdir(), 'sojourn-chaos-'));
    const effects = join(logs ?? folder, shared === undefined ? 'effects' : `effects-${shared.name}`);
    writeFileSync(effects, '');
    const store = shared?.store ?? (await openBackingStore(kind, count));
    const named = shared === undefined ? [] : ['--name', shared.name];
    const instances = INSTANCES.slice(0, count).map((short, n) => {
      const name = shared === undefined ? short : `${shared.name}-${short}`;
      const times = { '--lease-ms': leaseMs, '--drain-timeout-ms': drainMs, '--retry-ms': retryMs };
      const reach = store.reach(n + (shared?.firstLink ?? 0));
      const args = [...reach.args, ...named, ...more, ...Object.entries(times).flat().map(String)];
      // It is started again, as a supervisor does, and the run continues.
      const ended = (instance: Instance, how: string): void => {
        history.violation('crashed', how);
        instance.begin().catch((error: unknown) => history.violation('crashed', String(error)));
      };
      const happened = (what: string): void => history.happened(what);
      return new Instance({ name, args, env: { ...reach.env, ...env }, effects, logs, ended, happened });
    });
    const owned = { store, ownsStore: shared === undefined };
    const deployment = new Deployment(owned, instances, await Proxy.listen(instances), { folder, effects });
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
    if (this.#ownsStore) await this.store.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
