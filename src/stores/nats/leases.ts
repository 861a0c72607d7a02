/**
 * Leases, as values in a bucket. One is valid for `leaseMs` after the server stored it; a dead one (left, buried, run out) is
 * a value too and stays for a day, so that its id is dead for ever.
 *
 *     announced ──update: renewed──▶ renewed …──▶ dead
 *
 * Each step replaces the value that was seen, so of a renewal and a burial at the same time one fails. Whoever finds a lease
 * past its time buries it before saying so: a renewal that comes too late then finds its own end. The server deletes nothing
 * by age here: its timer is late by up to a second, and endpoints may have leases of different lengths.
 */
import { internal } from '../../errors.ts';
import type { InstanceLease } from '../store.ts';
import type { Bounds } from './bounds.ts';
import type { ServerClock } from './clock.ts';
import { newerValue, unreadable } from './failures.ts';
import type { Stored } from './jetstream.ts';
import type { Names } from './names.ts';
import { NOWHERE, type Registers, type Spot } from './registers.ts';

const VERSION = 1;
const DEAD_KEPT_MS = 86_400_000;
/** Ids known to be dead; more are asked for again. */
const DEAD_KNOWN = 10_000;
const TRIES = 5;

interface LeaseValue {
  readonly v: number;
  readonly id: string;
  readonly state: InstanceLease['state'];
  readonly version: string;
  readonly leaseMs: number;
  /** Made when it was announced: tells whose it is when an answer was lost. */
  readonly by: string;
  readonly dead?: true;
}

interface Found {
  readonly spot: Spot;
  readonly at: number;
  readonly value: LeaseValue;
}

/** A lease of this process. */
interface Own extends Found {}

export interface LeasesOptions {
  readonly registers: Registers;
  readonly names: Names;
  readonly clock: ServerClock;
  readonly bounds: Bounds;
  readonly leaseMs: number;
  name(): string;
}

export class Leases {
  readonly #options: LeasesOptions;
  readonly #own = new Map<string, Own>();
  /** Of ids whose announcement may have been stored without our knowing. */
  readonly #trying = new Map<string, string>();
  readonly #dead = new Set<string>();

  constructor(options: LeasesOptions) {
    this.#options = options;
  }

  /** Whether it is an instance of this process, as far as is known. */
  owns(id: string): boolean {
    return this.#own.has(id);
  }

  async announce({ id, state, version }: InstanceLease, deadline: number): Promise<void> {
    const { leaseMs, name } = this.#options;
    const by = this.#trying.get(id) ?? name();
    this.#trying.set(id, by);
    const value: LeaseValue = { v: VERSION, id, state, version, leaseMs, by };
    let spot = NOWHERE;
    for (let tries = 0; tries < TRIES; tries++) {
      const stored = await this.#store(value, spot, deadline);
      if (stored !== undefined) {
        this.#trying.delete(id);
        this.#own.set(id, stored);
        return;
      }
      const found = await this.#find(id, deadline);
      // An earlier try of this announcement that was stored after all goes on as it is.
      if (found !== undefined && (found.value.by !== by || found.value.dead === true)) break;
      spot = found?.spot ?? NOWHERE;
    }
    this.#trying.delete(id);
    throw internal(new Error(`instance ${id} was announced before: ids are never used twice, take a new one`));
  }

  /** `false`: it is dead. */
  async renew(id: string, state: InstanceLease['state'], deadline: number): Promise<boolean> {
    let own: Found | undefined = this.#own.get(id);
    for (let tries = 0; tries < TRIES; tries++) {
      own ??= await this.#find(id, deadline);
      if (own === undefined || own.value.dead === true) break;
      const stored = await this.#store({ ...own.value, state }, own.spot, deadline);
      if (stored !== undefined && stored.at - own.at < own.value.leaseMs) {
        if (this.#own.has(id)) this.#own.set(id, stored);
        return true;
      }
      // It had run out before: nobody may find it alive once more.
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

  async alive(id: string, deadline: number): Promise<boolean> {
    return (await this.read(id, deadline)) !== undefined;
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

  /** If it is as it was seen. */
  async bury({ id, state, stamp }: InstanceLease, deadline: number): Promise<boolean> {
    const found = await this.#find(id, deadline);
    if (found === undefined || found.value.dead === true) return false;
    // A lease that was not read here has no stamp and is buried as it stands, if its state does.
    const seen = stamp === undefined ? found.value.state === state : stamp === String(found.spot.seq);
    return seen && this.#kill(found, deadline);
  }

  async leave(id: string, deadline: number): Promise<void> {
    this.#own.delete(id);
    for (let tries = 0; tries < TRIES; tries++) {
      const found = await this.#find(id, deadline);
      if (found === undefined || found.value.dead === true || (await this.#kill(found, deadline))) return;
    }
  }

  /** Ids that nobody asks for any more. */
  async forgetDead(deadline: () => number): Promise<void> {
    const { registers, clock } = this.#options;
    const now = await clock.now(deadline());
    for (const subject of await this.#subjects(deadline())) {
      const found = await this.#findAt(subject, deadline());
      if (found === undefined || found.at + DEAD_KEPT_MS > now) continue;
      if (found.value.dead === true) await registers.erase('instances', subject, found.spot, deadline());
      else await this.#judge(found, deadline());
    }
  }

  async #subjects(deadline: number): Promise<readonly string[]> {
    const { registers, names } = this.#options;
    return [...(await registers.jetstream.subjects('instances', names.allLeases, deadline)).keys()];
  }

  /** Stores a value instead of another, and reads it back: the time in it is the server's. `undefined`: a third one stands there. */
  async #store(value: LeaseValue, before: Spot, deadline: number): Promise<Own | undefined> {
    const { registers, names, clock, bounds } = this.#options;
    const spot = await registers.write('instances', names.lease(value.id), encode(value), before, deadline);
    if (spot === undefined) return undefined;
    const taken = bounds.now();
    const stored = await registers.jetstream.at('instances', spot.seq, deadline);
    if (stored === undefined) return undefined;
    clock.learn(stored.at, taken);
    return { spot, at: stored.at, value };
  }

  #find(id: string, deadline: number): Promise<Found | undefined> {
    return this.#findAt(this.#options.names.lease(id), deadline);
  }

  async #findAt(subject: string, deadline: number): Promise<Found | undefined> {
    const read = await this.#options.registers.read('instances', subject, deadline);
    return read && this.#decode(read.stored, read.spot);
  }

  /** As others see it; one that has run out is buried first. */
  async #judge(found: Found, deadline: number): Promise<InstanceLease | undefined> {
    const { clock } = this.#options;
    for (
      let lease: Found | undefined = found;
      lease !== undefined;
      lease = await this.#find(found.value.id, deadline)
    ) {
      const { value, at, spot } = lease;
      if (value.dead === true) {
        this.#remember(value.id);
        return undefined;
      }
      const { id, state, version, leaseMs } = value;
      if (at + leaseMs > (await clock.now(deadline))) return { id, state, version, stamp: String(spot.seq) };
      if (await this.#kill(lease, deadline)) return undefined;
    }
    return undefined;
  }

  async #kill({ spot, value }: Found, deadline: number): Promise<boolean> {
    const { registers, names } = this.#options;
    const body = encode({ ...value, dead: true });
    const subject = names.lease(value.id);
    const killed = (await registers.write('instances', subject, body, spot, deadline)) !== undefined;
    if (killed) this.#remember(value.id);
    return killed;
  }

  #remember(id: string): void {
    this.#dead.add(id);
    if (this.#dead.size <= DEAD_KNOWN) return;
    const [oldest] = this.#dead;
    if (oldest !== undefined) this.#dead.delete(oldest);
  }

  #decode({ at, data, deleted }: Stored, spot: Spot): Found {
    const { where } = this.#options.registers.jetstream.link;
    if (deleted) return { spot, at, value: { ...NOBODY, dead: true } };
    let value: LeaseValue;
    try {
      value = JSON.parse(data.toString()) as LeaseValue;
    } catch (cause) {
      throw unreadable(where, 'a lease', cause);
    }
    if (value.v > VERSION) throw newerValue(where, `the lease of ${value.id}`, value.v, VERSION);
    return { spot, at, value };
  }
}

/** Of a key that somebody else deleted. */
const NOBODY: LeaseValue = { v: VERSION, id: '', state: 'draining', version: '', leaseMs: 0, by: '' };

const encode = (value: LeaseValue): Buffer => Buffer.from(JSON.stringify(value));
