/** The store object. All endpoints that share it use one connection: the first one opens it, the last one closes it. */
import { base64url } from '../../base/system.ts';
import { Instances, LEASES } from '../shared/instances.ts';
import { recordsOf } from '../shared/kinds.ts';
import { Secrets, SECRETS } from '../shared/secrets.ts';
import { SharedResource } from '../shared/shared-resource.ts';
import type { ScratchStore } from '../shared/scratch.ts';
import type { Kind, OpenStore, StoreOptions } from '../store.ts';
import { CleanupSchedule } from './cleanup-schedule.ts';
import { answerLimitMs } from '../shared/answer-limit.ts';
import { Deadlines } from '../shared/deadlines.ts';
import { ServerClock } from './clock.ts';
import { JetStream } from './jetstream.ts';
import { NatsRecordTable } from './record-table.ts';
import { WriteQueues } from './write-queues.ts';
import type { NatsKind } from './kind.ts';
import type { NatsLink } from './link.ts';
import { LogSpace } from './log-space.ts';
import { LogWriter } from './log-writer.ts';
import { KindNames, Names } from './names.ts';
import { Parts } from './parts.ts';
import { NatsListingOrder } from './listing-order.ts';
import { Purger } from './purger.ts';
import { NatsReader } from './reader.ts';
import { KeyedValues } from './keyed-values.ts';
import { NatsRecords } from './records.ts';
import { NatsMailboxes } from './mailboxes.ts';
import { deleteStreams } from './scratch.ts';
import { VitalRecords } from './vital-records.ts';
import { Streams } from './jetstream-streams.ts';
import { Sweeper } from './sweeper.ts';
import { openLink, type Target } from './target.ts';

export interface NatsStoreSettings {
  readonly target: Target;
  readonly prefix: string;
  readonly replicas: number;
  readonly maxBytes: number;
}

/** The log lives longer than its events, because a new owner needs its end and the marks in it. */
const LOG_AGES = 2;
const LOG_AGE_MS = 3_600_000;
const NAME_BYTES = 9;
/** The longest time that a request may take. */
const LONGEST_MS = 2_000;

interface Connected {
  readonly link: NatsLink;
  readonly streams: Streams;
  readonly space: LogSpace;
  close(): Promise<void>;
}

export class NatsStore implements ScratchStore {
  readonly kind = 'nats';
  readonly durable = true;
  readonly inProcess = false;
  readonly #settings: NatsStoreSettings;
  readonly #connected = new SharedResource<Connected>();

  constructor(settings: NatsStoreSettings) {
    this.#settings = settings;
  }

  open(options: StoreOptions): Promise<OpenStore> {
    const deadlines = new Deadlines(options.time, Math.min(LONGEST_MS, answerLimitMs(options.leaseMs)));
    return this.#connected.view(
      () => this.#connect(options, deadlines),
      async (connected) => {
        await connected.streams.require(logAgeMs(options.kinds), deadlines.deadline());
        await connected.space.checkLimit();
        return this.#view(connected, deadlines, options);
      },
    );
  }

  removeScratch(): Promise<void> {
    return deleteStreams(this.#settings.target, this.#settings.prefix);
  }

  async #connect({ time, random, logger }: StoreOptions, deadlines: Deadlines): Promise<Connected> {
    const { target, prefix, replicas, maxBytes } = this.#settings;
    const link = await openLink(target, { time, random, connectMs: deadlines.limitMs });
    const streams = new Streams(link, { prefix, replicas, maxBytes, logger });
    const limited = Number.isFinite(maxBytes);
    const space = new LogSpace({ link, prefix, limited, time, random, logger, ms: deadlines.limitMs });
    return { link, streams, space, close: () => link.close() };
  }

  #view({ link, streams, space }: Connected, deadlines: Deadlines, options: StoreOptions): OpenStore {
    const { prefix } = this.#settings;
    const { kinds, leaseMs, random, logger } = options;
    const name = (): string => base64url(random(NAME_BYTES));
    const names = new Names(prefix, options.name);
    const ensure = (deadline: number): Promise<void> => streams.ensure(deadline);
    const jetstream = new JetStream({ link, prefix, deadlines, ensure, full: () => space.makeRoom() });
    const clock = new ServerClock(jetstream, deadlines, names.clock);
    const values = new KeyedValues(jetstream, streams);
    const vital = (kind: Kind): VitalRecords => new VitalRecords({ kind, values, names, clock, deadlines });
    const mailboxes = new NatsMailboxes({ link, names, deadlines, sender: name(), logger });
    const instances = new Instances({ records: vital(LEASES), mailboxes, leaseMs, logger });
    const secrets = new Secrets(vital(SECRETS), random);
    const shared = { jetstream, values, clock, deadlines, parts: new Parts(jetstream), where: link.where, name };
    const owns = (instance: string): boolean => mailboxes.has(instance);
    const purger = new Purger(jetstream, deadlines);
    const recordsOfKind = (kind: Kind): NatsRecords => {
      const common = { ...shared, kind, names: new KindNames(prefix, options.name, kind.name), owns };
      return makeRecords(common, purger, logAgeMs(kinds) / 2);
    };
    let closed: Promise<void> | undefined;
    return {
      records: recordsOf(kinds, recordsOfKind),
      instances,
      secret: (secretName, keepMs) => secrets.get(secretName, keepMs),
      close: () =>
        (closed ??= instances.close().then(() => {
          mailboxes.stop();
          purger.close();
          return this.#connected.release();
        })),
    };
  }
}

function makeRecords(kind: NatsKind, purger: Purger, rewriteMs: number): NatsRecords {
  const reader = new NatsReader(kind);
  const schedule = new CleanupSchedule(kind);
  const listing = new NatsListingOrder(kind.jetstream, kind.names, kind.kind);
  const table = new NatsRecordTable({ ...kind, reader, schedule });
  const log = new LogWriter({ ...kind, table, purger });
  const queues = new WriteQueues(kind.where, kind.deadlines, log);
  const sweeper = new Sweeper({ ...kind, table, reader, schedule, listing, purger });
  return new NatsRecords({ ...kind, table, queues, reader, log, schedule, listing, sweeper, rewriteMs });
}

const logAgeMs = (kinds: readonly Kind[]): number =>
  Math.max(LOG_AGE_MS, ...kinds.map(({ log }) => (log === false ? 0 : LOG_AGES * log.ttlMs)));
