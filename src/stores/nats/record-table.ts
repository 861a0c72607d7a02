/**
 * The records of one kind and their states:
 *
 * - *living*: there is a record;
 * - *expired*: there is a record and its expiry has passed. Every reader sees an ended record, until `end` replaces
 *   it by a tombstone;
 * - *ended*: there is a tombstone;
 * - *missing*: there is nothing, or only a tombstone to forget.
 *
 * An instance that reads a record past its expiry first writes `expired` into it and then answers. Clocks differ a
 * little, and an owner with a slow clock could otherwise move the expiry again.
 */
import type { EndedRecord, FoundRecord } from '../store.ts';
import { expiredRecord } from '../shared/expired-record.ts';
import type { CleanupSchedule } from './cleanup-schedule.ts';
import { RecordCache, type CachedRecord, type HeldValue } from './record-cache.ts';
import { contended } from './failures.ts';
import type { NatsKind } from './kind.ts';
import { emptyTail, type NatsReader } from './reader.ts';
import { encodeValue, endedValue, withPieces, type LivingValue } from './record-value.ts';
import { type FieldChanges, type FieldPiece, PIECE_BYTES, plannedPieces } from './field-pieces.ts';
import type { ValuePosition } from './keyed-values.ts';
import { shownRecord } from '../shared/failures.ts';

/** `position`: what a new value replaces. */
export type RecordStatus =
  | { readonly is: 'missing'; readonly position: ValuePosition }
  | { readonly is: 'ended'; readonly position: ValuePosition; readonly ended: EndedRecord; readonly forgetAt: number }
  | { readonly is: 'expired'; readonly held: HeldValue; readonly ended: EndedRecord; readonly remembered: boolean }
  | { readonly is: 'living'; readonly held: HeldValue };

/** Where a value was stored. */
interface Written {
  readonly position: ValuePosition;
  readonly parts: readonly number[];
}

export interface NatsRecordTableOptions extends NatsKind {
  readonly reader: NatsReader;
  readonly schedule: CleanupSchedule;
}

const TRIES = 8;
/** Parts whose record was never stored are removed after this time. */
const PARTS_LOST_MS = 600_000;

export class NatsRecordTable {
  readonly cache = new RecordCache();
  readonly #options: NatsRecordTableOptions;

  constructor(options: NatsRecordTableOptions) {
    this.#options = options;
  }

  /** Reads the current state. */
  async look(id: string): Promise<RecordStatus> {
    const { reader, clock } = this.#options;
    for (let tries = 0; tries < TRIES; tries++) {
      const [read, now] = await Promise.all([reader.value(id), clock.now()]);
      const { position, value, parts } = read;
      if (value === undefined) return { is: 'missing', position };
      if ('ended' in value) {
        const { ended, forgetAt } = value;
        return forgetAt > now ? { is: 'ended', position, ended, forgetAt } : { is: 'missing', position };
      }
      const held: HeldValue = { position, value, parts };
      const ended = expiredAt(value, now);
      if (ended === undefined) return { is: 'living', held };
      if (value.expired !== true && !(await this.replace(id, held, { ...value, expired: true }))) continue;
      return { is: 'expired', held, ended, remembered: ended.at + this.#options.kind.keepMs > now };
    }
    throw contended(this.#options.where, shownRecord(id));
  }

  /** Reads the current state and, for a living record, the log at that moment or later. */
  async lookWhole(id: string): Promise<{ readonly status: RecordStatus; readonly cached?: CachedRecord }> {
    const { reader, deadlines } = this.#options;
    const [status, end] = await Promise.all([this.look(id), reader.end(id)]);
    this.cache.drop(id);
    if (status.is !== 'living') return { status };
    const { held } = status;
    const log = await reader.tail(id, held.value, end);
    const bytes = JSON.stringify(held.value).length;
    const cached: CachedRecord = { ...held, log, agreedAt: deadlines.now(), bytes, fresh: true };
    this.cache.set(id, cached);
    return { status, cached };
  }

  /** A value that was read before, with the current end of its log. */
  async withLog(id: string, held: HeldValue): Promise<CachedRecord> {
    const { reader, deadlines } = this.#options;
    const log = await reader.tail(id, held.value, await reader.end(id));
    return { ...held, log, agreedAt: deadlines.now(), bytes: 0, fresh: true };
  }

  /** Caches a record that this process created. Its log is empty, or belongs to an earlier record. */
  created(id: string, value: LivingValue, { position, parts }: Written, bytes: number): void {
    const log = emptyTail();
    this.cache.set(id, { position, value, parts, log, agreedAt: this.#options.deadlines.now(), bytes, fresh: false });
  }

  /** The record from the cache or the server; `undefined`: it is not living. `fresh`: do not use the cache. */
  async cached(id: string, fresh: boolean): Promise<CachedRecord | undefined> {
    const known = fresh ? undefined : this.cache.get(id, this.#options.deadlines.now());
    if (known !== undefined) {
      const now = this.#options.clock.known() ?? (await this.#options.clock.now());
      known.fresh = false;
      if (expiredAt(known.value, now) === undefined) return known;
    }
    return (await this.lookWhole(id)).cached;
  }

  /** Replaces the value that the cache has; `false`: another value was stored since. */
  async replace(id: string, held: HeldValue, value: LivingValue): Promise<boolean> {
    let written;
    let whole;
    let body;
    try {
      whole = withPieces(value, await this.#storedPieces(id, held.value, value));
      body = encodeValue(whole);
      written = await this.write(id, body, held.position);
    } finally {
      // Also after an error, when the outcome is unknown.
      if (written === undefined) this.cache.drop(id);
    }
    const [before, pieces] = [held.parts, (whole.pieces ?? []).map(({ seq }) => seq)];
    if (written === undefined) {
      this.removeParts(pieces.filter((seq) => !before.includes(seq)));
      return false;
    }
    held.position = written.position;
    held.value = whole;
    held.parts = [...written.parts, ...pieces];
    const bytes = body.length + pieces.length * PIECE_BYTES;
    this.cache.changed(id, held, bytes, this.#options.deadlines.now());
    this.removeParts(before.filter((seq) => !held.parts.includes(seq)));
    return true;
  }

  /** Stores the new pieces of changed fields. */
  async #storedPieces(id: string, before: LivingValue, value: LivingValue): Promise<readonly FieldPiece[]> {
    const { fields } = value.record;
    const { pieces: earlier = [] } = before;
    if (fields === before.record.fields) return earlier;
    const { parts, names, jetstream } = this.#options;
    const planned = plannedPieces(earlier, fields, parts.limit);
    const count = planned.filter((piece) => !isStored(piece)).length;
    if (count === 0) return planned.filter(isStored);
    const name = await this.#partsName(id, count);
    const pieces: FieldPiece[] = [];
    let n = 0;
    for (const piece of planned) {
      if (isStored(piece)) pieces.push(piece);
      else {
        const body = Buffer.from(JSON.stringify(piece));
        const seq = await jetstream.publish(names.recordPart(id, name, n++), body);
        // A message without an expected sequence is never refused.
        if (seq !== undefined) pieces.push({ seq, changes: piece });
      }
    }
    return pieces;
  }

  /** A name for parts that are about to be stored. If no record names them in the end, the schedule removes them. */
  async #partsName(id: string, count: number): Promise<string> {
    const name = this.#options.name();
    const at = (await this.#options.clock.now()) + PARTS_LOST_MS;
    await this.#options.schedule.add({ id, at, parts: { name, count } });
    return name;
  }

  /** Stores a body under the key of a record; `undefined`: the value at `position` is not the last any more. */
  async write(id: string, body: Buffer, position: ValuePosition): Promise<Written | undefined> {
    const { values, names, parts } = this.#options;
    const subject = names.record(id);
    const count = parts.count(body);
    if (count === 0) {
      const written = await values.write('records', subject, body, position);
      return written && { position: written, parts: [] };
    }
    const name = await this.#partsName(id, count);
    const stored = await parts.store(body, (n) => names.recordPart(id, name, n));
    const written = await values.write('records', subject, stored.body, position);
    if (written === undefined) this.removeParts(stored.parts);
    return written && { position: written, parts: stored.parts };
  }

  /** An empty tombstone stays until the schedule looks at it. `false`: no tombstone of this time shows. */
  async dropEnded(id: string, endedAt: number): Promise<boolean> {
    const { reader, clock, where } = this.#options;
    for (let tries = 0; tries < TRIES; tries++) {
      const [{ position, value, parts }, now] = await Promise.all([reader.value(id), clock.now()]);
      if (value === undefined || !('ended' in value)) return false;
      if (value.ended.at !== endedAt || value.forgetAt <= now) return false;
      const body = encodeValue(endedValue({ id, outcome: '', at: endedAt }, 0, value.place));
      if ((await this.write(id, body, position)) === undefined) continue;
      this.removeParts(parts);
      return true;
    }
    throw contended(where, shownRecord(id));
  }

  /** Parts that cannot be removed now are removed by the cleanup schedule. */
  removeParts(parts: readonly number[]): void {
    for (const seq of parts) {
      this.#options.jetstream.remove('records', seq).catch(() => undefined);
    }
  }
}

const isStored = (piece: FieldPiece | FieldChanges): piece is FieldPiece => typeof piece['seq'] === 'number';

export function shown(status: RecordStatus): FoundRecord {
  switch (status.is) {
    case 'missing':
      return undefined;
    case 'ended':
      return status.ended;
    case 'expired':
      return status.remembered ? status.ended : undefined;
    case 'living':
      return status.held.value.record;
  }
}

/** The end of an expired record that no caller has ended yet. */
function expiredAt({ record, expired }: LivingValue, now: number): EndedRecord | undefined {
  const { id, expiresAt } = record;
  if (expired !== true && (expiresAt === null || expiresAt > now)) return undefined;
  return expiredRecord(id, expiresAt ?? now);
}
