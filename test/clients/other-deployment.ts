/** What the clients talk to: one instance whose port is held while it is away, or two instances behind nginx. */
import { fileURLToPath } from 'node:url';
import { DeployedInstance } from '../pages/deploy/instances.ts';
import { ROUND_ROBIN, startNginx, type Proxy } from '../pages/deploy/nginx.ts';
import { freePort, startServer, type TestServer } from '../kit/servers/index.ts';
import { holdSocket, type HeldSocket } from '../kit/held-socket.ts';

export type StoreKind = 'redis' | 'postgres';
/** Instances; two are behind nginx. */
export type Size = 1 | 2;

const module = fileURLToPath(new URL('processes/colours.mjs', import.meta.url));
const DURABLE: Readonly<Record<StoreKind, readonly string[]>> = {
  redis: ['--appendonly', 'yes', '--appendfsync', 'always'],
  postgres: [],
};

export class OtherDeployment {
  readonly store: TestServer;
  readonly #instances: readonly DeployedInstance[];
  readonly #entry: { readonly port: number; close(): void | Promise<void> };

  private constructor(
    store: TestServer,
    instances: readonly DeployedInstance[],
    entry: Proxy | HeldSocket,
  ) {
    this.store = store;
    this.#instances = instances;
    this.#entry = entry;
  }

  /** Resolves when every instance listens. */
  static async start(
    kind: StoreKind,
    size: Size,
    flags: readonly string[] = [],
  ): Promise<OtherDeployment> {
    const store = await startServer(kind, { args: DURABLE[kind] });
    const held = size === 1 ? holdSocket() : undefined;
    const ports = held === undefined ? [await freePort(), await freePort()] : [held.port];
    const instances = ports.map(
      (port) => new DeployedInstance(port, store.url, { module, fd: held?.fd, flags }),
    );
    for (const instance of instances) await instance.start();
    return new OtherDeployment(store, instances, held ?? (await startNginx(ROUND_ROBIN, ports)));
  }

  /** Where clients connect. */
  get port(): number {
    return this.#entry.port;
  }

  get #first(): DeployedInstance {
    return this.#instances[0] as DeployedInstance;
  }

  /** Leaves one instance, so that it owns every session that is opened from now on. `complete` starts the others. */
  async reduce(): Promise<void> {
    await Promise.all(this.#instances.slice(1).map((instance) => instance.stop()));
  }

  async complete(): Promise<void> {
    await Promise.all(this.#instances.slice(1).map((instance) => instance.start()));
  }

  /** Kills the first instance, calls `dead`, and starts it again `awayMs` later. */
  async killFor(awayMs: number, dead: () => void): Promise<void> {
    await this.#first.kill();
    dead();
    await pause(awayMs);
    await this.#first.start();
  }

  async freezeFor(ms: number): Promise<void> {
    this.#first.freeze();
    await pause(ms);
    this.#first.thaw();
  }

  async storeAwayFor(ms: number): Promise<void> {
    await this.store.stop();
    await pause(ms);
    await this.store.start();
  }

  /** Kills every instance; those that follow know no session. */
  async forget(): Promise<void> {
    await Promise.all(this.#instances.map((instance) => instance.kill()));
    await Promise.all(this.#instances.map((instance) => instance.start('forgetful')));
  }

  async close(): Promise<void> {
    await Promise.all(this.#instances.map((instance) => instance.kill()));
    await this.#entry.close();
    await this.store.close();
  }
}

export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
