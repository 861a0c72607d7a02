/** The store object. All endpoints that share it use one server: the first one connects, the last one disconnects. */
import {
  Deadlines,
  ServerClock,
  SharedResource,
  answerLimitMs,
  kindsOf,
  openView,
  type OpenStore,
  type ServerClockOptions,
  type Store,
  type StoreOptions,
  type StoreRoom,
} from 'sojourn/store-kit';
import { RedisBackend } from './backend.ts';
import { BucketWrites } from './bucket-writes.ts';
import type { Reply } from './client.ts';
import { KindKeys, bucketKeys, mailboxChannels } from './keys.ts';
import { RedisMailboxes } from './mailboxes.ts';
import { factsOf } from './server-check.ts';
import type { Server, Target } from './server.ts';

/** What the views of one store object share. */
interface Connected {
  readonly server: Server;
  readonly clock: ServerClock;
  readonly deadlines: Deadlines;
  close(): Promise<void>;
}

export class RedisStore implements Store {
  readonly kind = 'redis';
  readonly durable = true;
  readonly inProcess = false;
  readonly #target: Target;
  readonly #prefix: string;
  readonly #clock: Partial<ServerClockOptions>;
  readonly #connected = new SharedResource<Connected>();

  /** `clock`: for tests that move the clock of the server. */
  constructor(target: Target, prefix: string, clock: Partial<ServerClockOptions> = {}) {
    this.#target = target;
    this.#prefix = prefix;
    this.#clock = clock;
  }

  open(options: StoreOptions): Promise<OpenStore> {
    return this.#connected.view(
      () => this.#connect(options),
      (connected) => this.#view(connected, options),
    );
  }

  /** The first view sets how long a reply may take: a part of its lease. */
  async #connect({ name, time, random, logger, leaseMs }: StoreOptions): Promise<Connected> {
    const ask = async (): Promise<number> => timeOf(await server.time());
    const deadlines = new Deadlines(time, answerLimitMs(leaseMs));
    const clock = new ServerClock({ time, ask, ...this.#clock });
    const server = this.#target({
      random,
      logger,
      deadlines,
      keys: bucketKeys(this.#prefix, name),
      // The next server may have another clock.
      lost: () => clock.forget(),
    });
    try {
      await server.open();
    } catch (error) {
      await server.close();
      throw error;
    }
    return { server, clock, deadlines, close: () => server.close() };
  }

  #view({ server, clock, deadlines }: Connected, options: StoreOptions): OpenStore {
    const { name } = options;
    const channelOf = mailboxChannels(this.#prefix, name);
    const keysOf = new Map(kindsOf(options).map((kind) => [kind, new KindKeys(this.#prefix, name, kind)]));
    const backend = new RedisBackend({ server, clock, keys: keysOf });
    return openView(
      {
        backend,
        ...(server.isCluster && { newWrites: () => new BucketWrites(backend) }),
        mailboxes: () => new RedisMailboxes(server, channelOf),
        deadlines,
        // A Cluster has many memories.
        ...(!server.isCluster && { room: async () => roomOf(await server.send('', ['INFO', 'memory'])) }),
        closed: () => this.#connected.release(),
      },
      options,
    );
  }
}

/** Seconds and microseconds since 1970. */
function timeOf(reply: Reply): number {
  const [seconds, micros] = (reply as readonly Reply[]).map(Number) as [number, number];
  return seconds * 1_000 + Math.floor(micros / 1_000);
}

/** `reply`: that of `INFO memory`. `maxmemory:0`: there is no limit. What clients are sending is not kept. */
function roomOf(reply: Reply): StoreRoom | undefined {
  const facts = factsOf(reply);
  const [used, sent = '0', most] = ['used_memory', 'mem_clients_normal', 'maxmemory'].map((name) => facts.get(name));
  return used === undefined ? undefined : { used: Number(used) - Number(sent), size: Number(most) || Infinity };
}
