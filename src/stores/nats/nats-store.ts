/** The store object: one connection for all endpoints that share it, opened by the first and closed with the last. */
import { base64url } from '../../options/system.ts';
import type { OpenStore, Store, StoreOptions } from '../store.ts';
import { Agenda } from './agenda.ts';
import { Bounds } from './bounds.ts';
import { ServerClock } from './clock.ts';
import { NatsEvents } from './events.ts';
import { NatsInstances } from './instances.ts';
import { JetStream } from './jetstream.ts';
import { Leases } from './leases.ts';
import { Ledger } from './ledger.ts';
import { Lines } from './lines.ts';
import type { Link } from './link.ts';
import { LogKeeper } from './log-keeper.ts';
import { LogWriter } from './log-writer.ts';
import { Sender } from './mail.ts';
import { Names } from './names.ts';
import { Parts } from './parts.ts';
import { Places } from './places.ts';
import { Purger } from './purger.ts';
import { Reader } from './reader.ts';
import { Registers } from './registers.ts';
import { Secrets } from './secrets.ts';
import { NatsSessions } from './sessions.ts';
import { Streams } from './streams.ts';
import { Sweeper } from './sweeper.ts';
import { openLink, type Target } from './target.ts';

export interface NatsStoreSettings {
  readonly target: Target;
  readonly prefix: string;
  readonly replicas: number;
  readonly maxBytes: number;
}

/** The log outlives what is kept of it, so that its end, and the markers in it, are there for whoever takes a session over. */
const LOG_AGES = 2;
const LOG_AGE_MS = 3_600_000;
const NAME_BYTES = 9;

interface Connected {
  readonly link: Link;
  readonly streams: Streams;
}

export class NatsStore implements Store {
  readonly kind = 'nats';
  readonly durable = true;
  readonly inProcess = false;
  readonly #settings: NatsStoreSettings;
  #connected: Promise<Connected> | undefined;
  #views = 0;

  constructor(settings: NatsStoreSettings) {
    this.#settings = settings;
  }

  async open(options: StoreOptions): Promise<OpenStore> {
    const bounds = new Bounds(options.time, options.leaseMs);
    this.#views++;
    try {
      const { link, streams } = await (this.#connected ??= this.#connect(options, bounds));
      await streams.require(logAgeMs(options), bounds.deadline());
      return this.#view(link, streams, bounds, options);
    } catch (error) {
      await this.#release();
      throw error;
    }
  }

  async #connect({ time, random, logger }: StoreOptions, bounds: Bounds): Promise<Connected> {
    const { target, prefix, replicas, maxBytes } = this.#settings;
    const link = await openLink(target, { time, random, connectMs: bounds.ms });
    return { link, streams: new Streams(link, { prefix, replicas, maxBytes, logger }) };
  }

  #view(link: Link, streams: Streams, bounds: Bounds, options: StoreOptions): OpenStore {
    const { prefix } = this.#settings;
    const { leaseMs, tombstoneMs, retention, random, logger, time } = options;
    const { where } = link;
    const name = (): string => base64url(random(NAME_BYTES));
    const names = new Names(prefix, options.name);
    const jetstream = new JetStream(link, prefix, (deadline) => streams.ensure(deadline));
    const clock = new ServerClock(jetstream, bounds, names.clock);
    const parts = new Parts(jetstream);
    const registers = new Registers(jetstream, streams);
    const reader = new Reader({ registers, names, parts });
    const leases = new Leases({ registers, names, clock, bounds, leaseMs, name });
    const agenda = new Agenda(jetstream, names, bounds, (deadline) => clock.now(deadline));
    const places = new Places(jetstream, names);
    const ledger = new Ledger({ registers, names, parts, reader, clock, bounds, leases, agenda, tombstoneMs, name });
    const purger = new Purger({ jetstream, names, bounds, time });
    const purge: Purger['purge'] = (id, before, partsBefore) => purger.purge(id, before, partsBefore);
    const log = new LogWriter({ registers, names, parts, ledger, bounds, retention, purge });
    const lines = new Lines(where, bounds, (id, writes) => log.write(id, writes));
    const sweeper = new Sweeper({ registers, names, ledger, reader, clock, bounds, agenda, places, purger });
    const owns = (instance: string): boolean => leases.owns(instance);
    const keeper = new LogKeeper({ ledger, lines, log, bounds, owns, keepMs: logAgeMs(options) / 2 });
    const instances = new NatsInstances({ link, names, leases, bounds, sender: new Sender(name()), logger });
    const secrets = new Secrets(registers, names, clock, bounds, random);
    let closed: Promise<void> | undefined;
    return {
      sessions: new NatsSessions({
        ledger,
        lines,
        log,
        clock,
        bounds,
        agenda,
        places,
        sweeper,
        tombstoneMs,
        where,
        name,
      }),
      events: new NatsEvents({ ledger, lines, reader, clock, bounds, keeper, retention }),
      instances,
      secret: (secretName, keepMs) => secrets.get(secretName, keepMs),
      close: () =>
        (closed ??= instances.close().then(() => {
          purger.close();
          return this.#release();
        })),
    };
  }

  /** The last view takes the connection with it; whoever opens the store meanwhile opens it anew. */
  async #release(): Promise<void> {
    if (--this.#views > 0) return;
    const connected = this.#connected;
    this.#connected = undefined;
    await (await connected?.catch(() => undefined))?.link.close();
  }
}

const logAgeMs = ({ retention }: StoreOptions): number =>
  Math.max(LOG_AGE_MS, retention === false ? 0 : LOG_AGES * retention.ttlMs);
