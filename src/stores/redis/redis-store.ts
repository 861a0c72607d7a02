/** The store object. All endpoints that share it use one server: the first one connects, the last one disconnects. */
import { answerLimitMs } from '../shared/answer-limit.ts';
import { Instances, LEASES } from '../shared/instances.ts';
import { recordsOf } from '../shared/kinds.ts';
import { Secrets, SECRETS } from '../shared/secrets.ts';
import { SharedResource } from '../shared/shared-resource.ts';
import type { Kind, OpenStore, Store, StoreOptions, StoreRoom } from '../store.ts';
import { DeploymentChannel } from './deployment-channel.ts';
import { Keys, KindKeys } from './keys.ts';
import { RedisMailboxes } from './mailboxes.ts';
import { RecordWriter } from './record-writer.ts';
import type { Server } from './server.ts';
import { RedisRecords } from './records.ts';
import { openServer, type Target } from './target.ts';

/** What the views of one store object share. */
interface Connected {
  readonly server: Server;
  /** The key is the channel of the bus. */
  readonly buses: Map<string, DeploymentChannel>;
  close(): Promise<void>;
}

export class RedisStore implements Store {
  readonly kind = 'redis';
  readonly durable = true;
  readonly inProcess = false;
  readonly #target: Target;
  readonly #prefix: string;
  readonly #connected = new SharedResource<Connected>();
  /** How long the leases of the open views last. */
  readonly #leases: number[] = [];

  constructor(target: Target, prefix: string) {
    this.#target = target;
    this.#prefix = prefix;
  }

  async open(options: StoreOptions): Promise<OpenStore> {
    this.#leases.push(options.leaseMs);
    try {
      return await this.#connected.view(
        () => this.#connect(options),
        (connected) => this.#view(connected, options),
      );
    } catch (error) {
      this.#forget(options.leaseMs);
      throw error;
    }
  }

  async #connect({ time, random, logger }: StoreOptions): Promise<Connected> {
    const server = await openServer(this.#target, {
      prefix: this.#prefix,
      time,
      random,
      logger,
      // How long a reply may take: a part of the shortest lease.
      limitMs: () => answerLimitMs(Math.min(...this.#leases)),
    });
    return { server, buses: new Map(), close: () => server.close() };
  }

  #forget(leaseMs: number): void {
    this.#leases.splice(this.#leases.indexOf(leaseMs), 1);
  }

  #view({ server, buses }: Connected, options: StoreOptions): OpenStore {
    const { name, kinds, leaseMs, logger, random } = options;
    const keys = new Keys(this.#prefix, name, server.database);
    const writers: RecordWriter[] = [];
    const recordsOfKind = (kind: Kind): RedisRecords => {
      const writer = new RecordWriter({ server, keys: new KindKeys(this.#prefix, name, kind.name), kind, random });
      writers.push(writer);
      return new RedisRecords(writer, logger);
    };
    const records = recordsOf([...kinds, SECRETS, LEASES], recordsOfKind);
    const mailboxes = new RedisMailboxes({ server, keys, bus: busOf(server, keys, buses), random, logger });
    const instances = new Instances({ records: records(LEASES), mailboxes, leaseMs, logger });
    const secrets = new Secrets(records(SECRETS), random);
    let closed: Promise<void> | undefined;
    return {
      records,
      instances,
      secret: (name, keepMs) => secrets.get(name, keepMs),
      room: () => server.memory()?.then(roomOf),
      close: () => {
        for (const writer of writers) writer.flush();
        return (closed ??= instances.close().then(() => {
          this.#forget(leaseMs);
          return this.#connected.release();
        }));
      },
    };
  }
}

function busOf(server: Server, { bus: channel }: Keys, buses: Map<string, DeploymentChannel>): DeploymentChannel {
  const bus = buses.get(channel) ?? new DeploymentChannel(server, channel);
  buses.set(channel, bus);
  return bus;
}

const FACTS = /^(used_memory|maxmemory|mem_clients_normal):(\d+)/gm;

/** `text`: what `INFO memory` answered. `maxmemory:0`: there is no limit. What clients are sending is not kept. */
function roomOf(text: string): StoreRoom | undefined {
  const facts = new Map([...text.matchAll(FACTS)].map(([, name, value]) => [name, Number(value)]));
  const [used, sent = 0, most = 0] = ['used_memory', 'mem_clients_normal', 'maxmemory'].map((name) => facts.get(name));
  return used === undefined ? undefined : { used: used - sent, size: most === 0 ? Infinity : most };
}
