/** The store object. All endpoints that share it use one server: the first one connects, the last one disconnects. */
import type { OpenStore, Store, StoreOptions } from '../store.ts';
import { Bus } from './bus.ts';
import { RedisEvents } from './events.ts';
import { RedisInstances } from './instances.ts';
import { Keys } from './keys.ts';
import { SessionWriter } from './session-writer.ts';
import type { Server } from './server.ts';
import { RedisSessions } from './sessions.ts';
import { openServer, type Target } from './target.ts';

const SECRET_BYTES = 32;
/** The part of a lease that a reply may take: it leaves a third of the lease for a renewal. */
const REPLY_FRACTION = 2 / 3;

export class RedisStore implements Store {
  readonly kind = 'redis';
  readonly durable = true;
  readonly inProcess = false;
  readonly #target: Target;
  readonly #prefix: string;
  #server: Promise<Server> | undefined;
  /** By bus channel. */
  #buses = new Map<string, Bus>();
  /** The lease durations of the open views. */
  readonly #leases = new Set<{ readonly ms: number }>();
  /** How long a reply may take: a part of the shortest lease. */
  #limitMs = Infinity;

  constructor(target: Target, prefix: string) {
    this.#target = target;
    this.#prefix = prefix;
  }

  async open(options: StoreOptions): Promise<OpenStore> {
    const lease = { ms: options.leaseMs };
    this.#leases.add(lease);
    this.#leasesChanged();
    try {
      const server = await (this.#server ??= this.#connect(options));
      return this.#view(server, options, lease);
    } catch (error) {
      await this.#release(lease);
      throw error;
    }
  }

  #connect({ time, random, logger }: StoreOptions): Promise<Server> {
    return openServer(this.#target, { time, random, logger, limitMs: () => this.#limitMs });
  }

  #leasesChanged(): void {
    this.#limitMs = Math.min(...[...this.#leases].map(({ ms }) => ms)) * REPLY_FRACTION;
  }

  #view(server: Server, options: StoreOptions, lease: { readonly ms: number }): OpenStore {
    const { name, leaseMs, logger, tombstoneMs, retention, random } = options;
    const keys = new Keys(this.#prefix, name, server.database);
    const writer = new SessionWriter({ server, keys, tombstoneMs, retention, random });
    const instances = new RedisInstances({ server, keys, bus: this.#bus(server, keys), leaseMs, random, logger });
    let closed: Promise<void> | undefined;
    return {
      sessions: new RedisSessions(writer, logger),
      events: new RedisEvents(writer),
      instances,
      secret: (secret, keepMs) => findSecret(server, keys.secret(secret), random, keepMs),
      close: () => {
        writer.flush();
        return (closed ??= instances.close().then(() => this.#release(lease)));
      },
    };
  }

  #bus(server: Server, { bus: channel }: Keys): Bus {
    let bus = this.#buses.get(channel);
    if (bus === undefined) {
      bus = new Bus(server, channel);
      this.#buses.set(channel, bus);
    }
    return bus;
  }

  /** The last view closes the connections. A view that opens during that time connects anew. */
  async #release(lease: { readonly ms: number }): Promise<void> {
    this.#leases.delete(lease);
    this.#leasesChanged();
    if (this.#leases.size > 0) return;
    const server = this.#server;
    this.#server = undefined;
    this.#buses = new Map();
    await (await server?.catch(() => undefined))?.close();
  }
}

/** If several instances create the secret at once, one of them wins. */
async function findSecret(
  server: Server,
  key: string,
  random: StoreOptions['random'],
  keepMs: number | undefined,
): Promise<Uint8Array> {
  const kept = keepMs === undefined ? [] : ['PX', String(Math.ceil(keepMs))];
  for (;;) {
    const found = await server.send(key, ['GET', key]);
    if (typeof found === 'string') return Buffer.from(found, 'base64url');
    const made = Buffer.from(random(SECRET_BYTES)).toString('base64url');
    await server.send(key, ['SET', key, made, 'NX', ...kept]);
  }
}
