/**
 * The instances of a deployment. A lease is a record: its id is the instance's, its owner the
 * address of the mailbox, its head the state, its body the version of the build, its field what is
 * shown of the process. Each renewal moves the expiry and adds 1 to `stamp`.
 *
 *     created ──save: renewed──▶ renewed … ──end (left, buried) or expired──▶ dead
 *
 * The instance creates, renews and gives back. Any other instance may bury, and its `end` names the
 * stamp that it read, so a renewal in between refuses it. A reader that finds a lease expired
 * stores that before it answers, as with every record. Then a renewal under way is refused. A dead
 * id shows as ended for a day, so it cannot be created again. A crash leaves a lease that expires
 * and a mailbox. The next instance that starts ends the one and removes the other: at once, or when
 * it has renewed its lease for some time, because it may replace the instance that crashed.
 */
import { BoundedMap } from '../../base/bounded-map.ts';
import { orUndefined } from '../../base/or-undefined.ts';
import { pagesOf } from '../../base/pages.ts';
import { internal } from '../../base/errors.ts';
import type { Logger } from '../../base/types.ts';
import {
  type Fence,
  type InstanceLease,
  type InstanceMessage,
  type InstanceProcess,
  type InstanceStore,
  isEnded,
  type Kind,
  type MaybePromise,
  type NewRecord,
  type Records,
  type SeenLiving,
  type StoredRecord,
} from '../store.ts';
import { after } from './after.ts';

export const LEASES: Kind = {
  name: 'leases',
  log: false,
  keepMs: 86_400_000,
  listed: true,
  vital: true,
};

/**
 * An instance looks for what crashed ones left when it starts, and again with every fourth renewal. Leases are renewed
 * three times in their time, so those of instances that died before the last look have expired.
 */
const LOOK_EVERY = 4;

export type LeaseRecords = Pick<Records, 'create' | 'read' | 'save' | 'end' | 'list' | 'due'>;

/** Takes a message; it never throws. */
export type Receive = (from: string, message: InstanceMessage) => void;

/** A message as a store of texts passes it on. */
export const messageText = (from: string, message: InstanceMessage): string =>
  JSON.stringify([from, message]);

/** Every program with access to the store can write such a text. The receiver refuses what is no message. */
export function receiveText(receive: Receive, text: string): void {
  const read = orUndefined(() => JSON.parse(text) as unknown);
  const [from, message] = (Array.isArray(read) ? read : []) as [unknown, InstanceMessage];
  receive(typeof from === 'string' ? from : '', message);
}

/** Receives the messages for the instances of one view, and sends theirs. */
export interface Mailboxes extends Pick<InstanceStore, 'send'> {
  /** Begins to receive for an instance, before its lease is stored. Returns the address that the lease names. */
  open(id: string, receive: Receive, lost: () => void): MaybePromise<string>;
  /** Makes sure that messages arrive, before each renewal. */
  check(id: string): MaybePromise<void>;
  /** Receives nothing from now on. The mailbox may be closed already, or have failed to open. */
  close(id: string): MaybePromise<void>;
  /** Removes what a crash has left of the mailbox of a dead instance. */
  forget?(id: string): void;
}

export interface InstancesOptions {
  readonly records: LeaseRecords;
  readonly mailboxes: Mailboxes;
  /** `null`: leases do not expire. */
  readonly leaseMs: number | null;
  readonly logger: Logger;
}

interface HeldLease extends Fence {
  /** The stamp of the last renewal that was sent. */
  stamp: number;
}

/** The format of leases: not that of sessions, because instances of two builds must find each other. */
const VERSION = 1;
/** Leases that are read at once. */
const PAGE = 256;
const DEAD_KNOWN = 1_000;
/** The outcome of a lease that its instance gave back. That of others is empty. */
const LEFT = 'left';

export class Instances implements InstanceStore {
  readonly #options: InstancesOptions;
  /** The leases of this view that are not known to be dead. */
  readonly #own = new Map<string, HeldLease>();
  /** Ids that were found dead: an instance that takes over many sessions of one owner reads its lease once. */
  readonly #dead = new BoundedMap<string, true>(DEAD_KNOWN);

  constructor(options: InstancesOptions) {
    this.#options = options;
  }

  async announce(
    lease: InstanceLease,
    receive: Receive,
    lost: () => void = () => undefined,
  ): Promise<void> {
    const { records, mailboxes, leaseMs, logger } = this.#options;
    const { id } = lease;
    const received: Receive = (from, message) => {
      try {
        receive(from, message);
      } catch (err) {
        logger.error(
          { err, instance: id, from, kind: message.kind },
          'A message of another instance could not be received',
        );
      }
    };
    if (leaseMs !== null) void this.#forgetDead();
    try {
      const address = await mailboxes.open(id, received, lost);
      if ((await records.create(recordOf(lease, address), leaseMs)) === 'exists')
        throw internal(
          new Error(
            `instance ${id} was announced before: ids are never used twice, take a new one`,
          ),
        );
      this.#own.set(id, { epoch: 1, owner: address, stamp: 0 });
    } catch (cause) {
      await this.#close(id);
      throw cause;
    }
  }

  async renew(id: string, state: InstanceLease['state'], server?: string): Promise<boolean> {
    const { records, mailboxes, leaseMs } = this.#options;
    const held = this.#own.get(id);
    if (held === undefined) return false;
    await mailboxes.check(id);
    const change = {
      head: state,
      stamp: (held.stamp += 1),
      expiresInMs: leaseMs,
      ...(server !== undefined && { fields: { server } }),
    };
    if (held.stamp % LOOK_EVERY === 0 && leaseMs !== null) void this.#forgetDead();
    if ((await records.save(id, held, change)) !== 'fenced') return true;
    await this.#close(id);
    return false;
  }

  read(id: string): MaybePromise<InstanceLease | undefined> {
    return after(this.#living(id), (found) => found && leaseOf(found));
  }

  async list(): Promise<readonly InstanceLease[]> {
    const leases: InstanceLease[] = [];
    for await (const { records } of pagesOf((cursor) => this.#options.records.list(PAGE, cursor)))
      leases.push(...records.map(leaseOf));
    return leases;
  }

  send(from: string, to: string, message: InstanceMessage): MaybePromise<'sent' | 'suspect'> {
    return this.#options.mailboxes.send(from, to, message);
  }

  async bury({ id, stamp }: InstanceLease): Promise<boolean> {
    const found = await this.#living(id);
    if (found === undefined || String(found.stamp) !== stamp) return false;
    return this.#end(id, { ...found, atStamp: found.stamp });
  }

  async leave(id: string): Promise<void> {
    const held = this.#own.get(id);
    this.#own.delete(id);
    // The lease first: an instance that reads it sends to a mailbox that is there.
    try {
      if (held !== undefined) await this.#end(id, held, LEFT);
    } finally {
      await this.#close(id);
    }
  }

  async left(id: string): Promise<boolean> {
    const found = await this.#options.records.read(id);
    return found !== undefined && isEnded(found) && found.outcome === LEFT;
  }

  async publish(from: string, message: InstanceMessage): Promise<void> {
    for (const { id } of await this.list())
      if (id !== from) void this.#publishTo(id, from, message);
  }

  /** An instance whose view is closed has left, whether or not it called `leave`. */
  async close(): Promise<void> {
    const left = [...this.#own.keys()].map(async (id) => {
      try {
        await this.leave(id);
      } catch (err) {
        this.#options.logger.warn(
          { err, instance: id },
          'The lease could not be given back; it runs out by itself',
        );
      }
    });
    await Promise.all(left);
  }

  #living(id: string): MaybePromise<StoredRecord | undefined> {
    if (this.#dead.has(id)) return undefined;
    return after(this.#options.records.read(id), (found) => {
      if (found === undefined || !isEnded(found)) return found;
      this.#dead.set(id, true);
      return undefined;
    });
  }

  /** `false`: the lease changed since it was seen, or there is none. */
  async #end(id: string, seen: SeenLiving, outcome = ''): Promise<boolean> {
    const { records, mailboxes } = this.#options;
    if ((await records.end(id, seen, outcome)) !== 'ended') return false;
    mailboxes.forget?.(id);
    return true;
  }

  #close(id: string): MaybePromise<void> {
    this.#own.delete(id);
    return this.#options.mailboxes.close(id);
  }

  /** At most once: an instance that cannot be reached misses the message. */
  async #publishTo(id: string, from: string, message: InstanceMessage): Promise<void> {
    try {
      await this.#options.mailboxes.send(from, id, message);
    } catch (err) {
      this.#options.logger.debug(
        { err, instance: id },
        'A message to all did not reach this instance',
      );
    }
  }

  /** Ends the leases of instances that crashed. The next look tries again. */
  async #forgetDead(): Promise<void> {
    const { records, logger } = this.#options;
    try {
      for await (const { records: due } of pagesOf((cursor) => records.due(PAGE, cursor)))
        // The read stores that a lease has expired.
        for (const { id, epoch, owner } of due)
          if ((await this.read(id)) === undefined) await this.#end(id, { epoch, owner });
    } catch (err) {
      logger.debug({ err }, 'What crashed instances left could not be removed');
    }
  }
}

const recordOf = (
  { id, state, version, process, keys, server }: InstanceLease,
  address: string,
): NewRecord => {
  const fields = {
    ...(keys && { keys: keys.join(' ') }),
    ...(process && { process: JSON.stringify(process) }),
    ...(server !== undefined && { server }),
  };
  const texts = { user: null, head: state, body: version, fields };
  return { v: VERSION, id, epoch: 1, owner: address, ...texts, createdAt: 0, stamp: 0 };
};

/** `undefined`: the text is damaged. */
function processIn(text: string): InstanceProcess | undefined {
  const found = orUndefined(() => JSON.parse(text) as InstanceProcess);
  const { host, pid, startedAt, runtime } = Object(found) as Partial<InstanceProcess>;
  const isShown =
    [host, runtime].every((one) => typeof one === 'string') &&
    [pid, startedAt].every(Number.isFinite);
  return isShown ? found : undefined;
}

const leaseOf = ({ id, head, body, stamp, fields }: StoredRecord): InstanceLease => {
  // To be shown only: a text that is no JSON keeps no message from the other instances.
  const process = processIn(fields['process'] ?? '');
  const state = head === 'draining' ? head : 'serving';
  const keys = fields['keys']?.split(' ');
  const server = fields['server'];
  const more = {
    ...(keys && { keys }),
    ...(process && { process }),
    ...(server !== undefined && { server }),
  };
  return Object.freeze({ id, state, version: body, stamp: String(stamp), ...more });
};
