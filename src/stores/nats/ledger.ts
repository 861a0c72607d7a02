/**
 * The sessions of one deployment, and who judges them: *living* (a record), *expired* (a record past its expiry: for
 * everybody it has ended, until `end` makes a tombstone of it), *ended* (a tombstone), *missing* (nothing, or what is to be
 * forgotten).
 *
 * Whoever sees a record past its expiry writes that into it before anybody is told: clocks differ by a little, and an owner
 * whose clock is behind could move the expiry once more.
 */
import type { EndedSession, SessionRecord } from '../store.ts';
import { RECORD_VERSION } from '../store.ts';
import type { Agenda } from './agenda.ts';
import type { Bounds } from './bounds.ts';
import type { ServerClock } from './clock.ts';
import { Copies, type Copy, type Held } from './copies.ts';
import { contended } from './failures.ts';
import type { Leases } from './leases.ts';
import type { Names } from './names.ts';
import type { Parts } from './parts.ts';
import { emptyTail, type Reader } from './reader.ts';
import { encodeValue, isLiving, type LivingValue } from './record-value.ts';
import type { Registers, Spot } from './registers.ts';

/** `spot`: what a new value replaces. */
export type Standing =
  | { readonly is: 'missing'; readonly spot: Spot }
  | { readonly is: 'ended'; readonly spot: Spot; readonly ended: EndedSession; readonly forgetAt: number }
  | { readonly is: 'expired'; readonly held: Held; readonly ended: EndedSession; readonly remembered: boolean }
  | { readonly is: 'living'; readonly held: Held };

/** Where a value stands. */
interface Written {
  readonly spot: Spot;
  readonly parts: readonly number[];
}

export interface LedgerOptions {
  readonly registers: Registers;
  readonly names: Names;
  readonly parts: Parts;
  readonly reader: Reader;
  readonly clock: ServerClock;
  readonly bounds: Bounds;
  readonly leases: Leases;
  readonly agenda: Agenda;
  readonly tombstoneMs: number;
  /** Names for parts. */
  name(): string;
}

const TRIES = 8;
/** Parts that were stored and whose record was not are removed after so long. */
const PARTS_LOST_MS = 600_000;

export class Ledger {
  readonly copies = new Copies();
  readonly #options: LedgerOptions;

  constructor(options: LedgerOptions) {
    this.#options = options;
  }

  /** What stands there now. */
  async look(id: string, deadline: number): Promise<Standing> {
    const { reader, clock } = this.#options;
    for (let tries = 0; tries < TRIES; tries++) {
      const [read, now] = await Promise.all([reader.value(id, deadline), clock.now(deadline)]);
      if (!('found' in read)) return { is: 'missing', spot: read.spot };
      const { found, parts } = read;
      const { spot } = found;
      if (!isLiving(found)) {
        const { ended, forgetAt } = found.value;
        return forgetAt > now ? { is: 'ended', spot, ended, forgetAt } : { is: 'missing', spot };
      }
      const held: Held = { spot, value: found.value, parts };
      const ended = expiredAt(held.value, now);
      if (ended === undefined) return { is: 'living', held };
      if (held.value.expired !== true && !(await this.replace(id, held, { ...held.value, expired: true }, deadline)))
        continue;
      return { is: 'expired', held, ended, remembered: ended.at + this.#options.tombstoneMs > now };
    }
    throw contended(reader.where, `session ${id}`);
  }

  /** What stands there, and of a session that lives its log too, as it was at that moment or later. */
  async lookWhole(id: string, deadline: number): Promise<{ readonly standing: Standing; readonly copy?: Copy }> {
    const { reader, bounds } = this.#options;
    const [standing, end] = await Promise.all([this.look(id, deadline), reader.end(id, deadline)]);
    this.copies.drop(id);
    if (standing.is !== 'living') return { standing };
    const { held } = standing;
    const log = await reader.tail(id, held.value, end, deadline);
    const bytes = JSON.stringify(held.value).length;
    const copy: Copy = { ...held, log, agreedAt: bounds.now(), bytes, fresh: true };
    this.copies.set(id, copy);
    return { standing, copy };
  }

  /** A value that was read, and the end of its log as it is now. */
  async withLog(id: string, held: Held, deadline: number): Promise<Copy> {
    const { reader, bounds } = this.#options;
    const log = await reader.tail(id, held.value, await reader.end(id, deadline), deadline);
    return { ...held, log, agreedAt: bounds.now(), bytes: 0, fresh: true };
  }

  /** A session was made here: its log is empty, or of an earlier one. */
  created(id: string, value: LivingValue, { spot, parts }: Written, bytes: number): void {
    const log = emptyTail();
    this.copies.set(id, { spot, value, parts, log, agreedAt: this.#options.bounds.now(), bytes, fresh: false });
  }

  /** Known here, or read; `undefined`: it does not live. `fresh`: what is known here is not believed. */
  async copy(id: string, deadline: number, fresh: boolean): Promise<Copy | undefined> {
    const known = fresh ? undefined : this.copies.get(id, this.#options.bounds.now());
    if (known !== undefined) {
      const now = this.#options.clock.known() ?? (await this.#options.clock.now(deadline));
      known.fresh = false;
      if (expiredAt(known.value, now) === undefined) return known;
    }
    return (await this.lookWhole(id, deadline)).copy;
  }

  /** The value instead of the one that the copy knows; `false`: another one stands there by now. */
  async replace(id: string, held: Held, value: LivingValue, deadline: number): Promise<boolean> {
    const body = encodeValue(value);
    let written;
    try {
      written = await this.write(id, body, held.spot, deadline);
    } finally {
      // Also when nobody knows what became of it.
      if (written === undefined) this.copies.drop(id);
    }
    if (written === undefined) return false;
    const before = held.parts;
    held.spot = written.spot;
    held.value = value;
    held.parts = written.parts;
    this.copies.changed(id, held, body.length, this.#options.bounds.now());
    this.removeParts(before, deadline);
    return true;
  }

  /** Stores a body under the key of a session; `undefined`: something else than at `spot` stands there. */
  async write(id: string, body: Buffer, spot: Spot, deadline: number): Promise<Written | undefined> {
    const { registers, names, parts } = this.#options;
    const subject = names.session(id);
    const count = parts.count(body);
    if (count === 0) {
      const written = await registers.write('sessions', subject, body, spot, deadline);
      return written && { spot: written, parts: [] };
    }
    const name = this.#options.name();
    const at = (await this.#options.clock.now(deadline)) + PARTS_LOST_MS;
    await this.#options.agenda.add({ id, at, parts: { name, count } }, deadline);
    const stored = await parts.store(body, (n) => names.recordPart(id, name, n), deadline);
    const written = await registers.write('sessions', subject, stored.body, spot, deadline);
    if (written === undefined) this.removeParts(stored.parts, deadline);
    return written && { spot: written, parts: stored.parts };
  }

  /** What stays is removed when it is due. */
  removeParts(parts: readonly number[], deadline: number): void {
    for (const seq of parts) {
      this.#options.registers.jetstream.remove('sessions', seq, deadline).catch(() => undefined);
    }
  }

  async ownerless(owner: string | null, deadline: number): Promise<boolean> {
    return owner === null || !(await this.#options.leases.alive(owner, deadline));
  }
}

export function shown(standing: Standing): SessionRecord | EndedSession | undefined {
  switch (standing.is) {
    case 'missing':
      return undefined;
    case 'ended':
      return standing.ended;
    case 'expired':
      return standing.remembered ? standing.ended : undefined;
    case 'living':
      return standing.held.value.record;
  }
}

/** How a record ended that nobody ended. */
function expiredAt({ record, expired }: LivingValue, now: number): EndedSession | undefined {
  const { id, expiresAt } = record;
  if (expired !== true && (expiresAt === null || expiresAt > now)) return undefined;
  return { v: RECORD_VERSION, id, ended: 'idle', at: expiresAt ?? now };
}
