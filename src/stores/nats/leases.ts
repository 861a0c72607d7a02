/**
 * Leases as values in a bucket. A lease is valid for `leaseMs` after the server stored it. A dead lease (left, buried,
 * run out) is a value too and stays for a day, so that its id cannot be used again.
 *
 *     announced ──update: renewed──▶ renewed …──▶ dead
 *
 * The instance renews its lease and gives it back. Any other instance may bury it. Each step replaces the value that
 * was read, so of a renewal and a burial at the same time only one succeeds. An instance that reads a lease past its
 * time buries it before it answers, so a late renewal fails. A crash leaves the last value, which runs out. The server
 * deletes nothing by age here: its timer is late by up to a second, and endpoints may have different lease times.
 */
import { BoundedMap } from '../../bounded-map.ts';
import { internal } from '../../errors.ts';
import type { InstanceLease } from '../store.ts';
import type { Deadlines } from '../shared/deadlines.ts';
import type { ServerClock } from './clock.ts';
import { newerValue, unreadable } from './failures.ts';
import type { Stored } from './jetstream.ts';
import type { Names } from './names.ts';
import { NO_VALUE, type KeyedValues, type ValuePosition } from './keyed-values.ts';

const VERSION = 1;
const DEAD_KEPT_MS = 86_400_000;
/** How many dead ids are remembered. Others are read again. */
const DEAD_KNOWN = 10_000;
const TRIES = 5;

interface LeaseValue {
  readonly v: number;
  readonly id: string;
  readonly state: InstanceLease['state'];
  readonly version: string;
  readonly leaseMs: number;
  /** Made by the announcement. It identifies the writer after a lost answer. */
  readonly by: string;
  readonly dead?: true;
}

interface Found {
  readonly position: ValuePosition;
  readonly at: number;
  readonly value: LeaseValue;
}

/** A lease of this process. */
interface Own extends Found {}

export interface LeasesOptions {
  readonly values: KeyedValues;
  readonly names: Names;
  readonly clock: ServerClock;
  readonly deadlines: Deadlines;
  readonly leaseMs: number;
  name(): string;
}

export class Leases {
  readonly #options: LeasesOptions;
  readonly #own = new Map<string, Own>();
  /** Announcements that may have been stored although their answer was lost: id → `by`. */
  readonly #trying = new Map<string, string>();
  readonly #dead = new BoundedMap<string, true>(DEAD_KNOWN);

  constructor(options: LeasesOptions) {
    this.#options = options;
  }

  /** Whether this process has announced the id and not lost it. */
  owns(id: string): boolean {
    return this.#own.has(id);
  }

  async announce({ id, state, version }: InstanceLease, deadline: number): Promise<void> {
    const { leaseMs, name } = this.#options;
    const by = this.#trying.get(id) ?? name();
    this.#trying.set(id, by);
    const value: LeaseValue = { v: VERSION, id, state, version, leaseMs, by };
    let position = NO_VALUE;
    for (let tries = 0; tries < TRIES; tries++) {
      const stored = await this.#store(value, position, deadline);
      if (stored !== undefined) {
        this.#trying.delete(id);
        this.#own.set(id, stored);
        return;
      }
      const found = await this.#find(id, deadline);
      // An earlier try of this announcement was stored after all: it continues from that value.
      if (found !== undefined && (found.value.by !== by || found.value.dead === true)) break;
      position = found?.position ?? NO_VALUE;
    }
    this.#trying.delete(id);
    throw internal(new Error(`instance ${id} was announced before: ids are never used twice, take a new one`));
  }

  /** `false`: the lease is dead. */
  async renew(id: string, state: InstanceLease['state'], deadline: number): Promise<boolean> {
    let own: Found | undefined = this.#own.get(id);
    for (let tries = 0; tries < TRIES; tries++) {
      own ??= await this.#find(id, deadline);
      if (own === undefined || own.value.dead === true) break;
      const stored = await this.#store({ ...own.value, state }, own.position, deadline);
      if (stored !== undefined && stored.at - own.at < own.value.leaseMs) {
        if (this.#own.has(id)) this.#own.set(id, stored);
        return true;
      }
      // The lease had run out before this renewal, so no instance may read it as alive.
      if (stored !== undefined) {
        await this.#kill(stored, deadline);
        break;
      }
      const found = await this.#find(id, deadline);
      own = found?.value.by === own.value.by ? found : undefined;
      if (own === undefined) break;
    }
    this.#own.delete(id);
    return false;
  }

  async read(id: string, deadline: number): Promise<InstanceLease | undefined> {
    if (this.#dead.has(id)) return undefined;
    const found = await this.#find(id, deadline);
    return found === undefined ? undefined : this.#judge(found, deadline);
  }

  async list(deadline: number): Promise<readonly InstanceLease[]> {
    const leases = await Promise.all(
      (await this.#subjects(deadline)).map(async (subject) => {
        const found = await this.#findAt(subject, deadline);
        return found && this.#judge(found, deadline);
      }),
    );
    return leases.filter((lease) => lease !== undefined);
  }

  /** Succeeds only if the lease is unchanged since it was read. */
  async bury({ id, state, stamp }: InstanceLease, deadline: number): Promise<boolean> {
    const found = await this.#find(id, deadline);
    if (found === undefined || found.value.dead === true) return false;
    // A lease that this store did not return has no stamp. It is buried if its state matches.
    const seen = stamp === undefined ? found.value.state === state : stamp === String(found.position.seq);
    return seen && this.#kill(found, deadline);
  }

  async leave(id: string, deadline: number): Promise<void> {
    this.#own.delete(id);
    for (let tries = 0; tries < TRIES; tries++) {
      const found = await this.#find(id, deadline);
      if (found === undefined || found.value.dead === true || (await this.#kill(found, deadline))) return;
    }
  }

  /** Removes dead ids that no instance reads any more. */
  async forgetDead(deadline: () => number): Promise<void> {
    const { values, clock } = this.#options;
    const now = await clock.now(deadline());
    for (const subject of await this.#subjects(deadline())) {
      const found = await this.#findAt(subject, deadline());
      if (found === undefined || found.at + DEAD_KEPT_MS > now) continue;
      if (found.value.dead === true) await values.erase('instances', subject, found.position, deadline());
      else await this.#judge(found, deadline());
    }
  }

  async #subjects(deadline: number): Promise<readonly string[]> {
    const { values, names } = this.#options;
    return [...(await values.jetstream.subjects('instances', names.allLeases, deadline)).keys()];
  }

  /**
   * Replaces a value and reads the message back, because its time is the server's. `undefined`: another value was
   * stored.
   */
  async #store(value: LeaseValue, before: ValuePosition, deadline: number): Promise<Own | undefined> {
    const { values, names, clock, deadlines } = this.#options;
    const position = await values.write('instances', names.lease(value.id), encode(value), before, deadline);
    if (position === undefined) return undefined;
    const taken = deadlines.now();
    const stored = await values.jetstream.at('instances', position.seq, deadline);
    if (stored === undefined) return undefined;
    clock.learn(stored.at, taken);
    return { position, at: stored.at, value };
  }

  #find(id: string, deadline: number): Promise<Found | undefined> {
    return this.#findAt(this.#options.names.lease(id), deadline);
  }

  async #findAt(subject: string, deadline: number): Promise<Found | undefined> {
    const read = await this.#options.values.read('instances', subject, deadline);
    return read && this.#decode(read.stored, read.position);
  }

  /** The lease as other instances see it. A lease that has run out is buried first. */
  async #judge(found: Found, deadline: number): Promise<InstanceLease | undefined> {
    const { clock } = this.#options;
    for (
      let lease: Found | undefined = found;
      lease !== undefined;
      lease = await this.#find(found.value.id, deadline)
    ) {
      const { value, at, position } = lease;
      if (value.dead === true) {
        this.#remember(value.id);
        return undefined;
      }
      const { id, state, version, leaseMs } = value;
      if (at + leaseMs > (await clock.now(deadline))) return { id, state, version, stamp: String(position.seq) };
      if (await this.#kill(lease, deadline)) return undefined;
    }
    return undefined;
  }

  async #kill({ position, value }: Found, deadline: number): Promise<boolean> {
    const { values, names } = this.#options;
    const body = encode({ ...value, dead: true });
    const subject = names.lease(value.id);
    const killed = (await values.write('instances', subject, body, position, deadline)) !== undefined;
    if (killed) this.#remember(value.id);
    return killed;
  }

  #remember(id: string): void {
    this.#dead.set(id, true);
  }

  #decode({ at, data, deleted }: Stored, position: ValuePosition): Found {
    const { where } = this.#options.values.jetstream.link;
    if (deleted) return { position, at, value: { ...DELETED_LEASE, dead: true } };
    let value: LeaseValue;
    try {
      value = JSON.parse(data.toString()) as LeaseValue;
    } catch (cause) {
      throw unreadable(where, 'a lease', cause);
    }
    if (value.v > VERSION) throw newerValue(where, `the lease of ${value.id}`, value.v, VERSION);
    return { position, at, value };
  }
}

/** For a key that another program deleted. */
const DELETED_LEASE: LeaseValue = { v: VERSION, id: '', state: 'draining', version: '', leaseMs: 0, by: '' };

const encode = (value: LeaseValue): Buffer => Buffer.from(JSON.stringify(value));
