/**
 * Records of a kind that no store forgets early: tasks with their logs, keys of `once()`. Each counts for its user
 * (`kept-ledger.ts`) from its creation until it is forgotten. A long outcome is stored apart, so that it can be
 * forgotten early, and the record keeps a short one for that case:
 *
 *     create ──▶ open ──end──▶ ended: its outcome, or `>`, the id of the long one, a line feed and the short one
 *
 * No outcome begins with `>` by itself: those of these kinds are JSON.
 */
import { elapse, monotonicMs } from '../../base/system.ts';
import { findsNoRoom, keptFull } from '../../base/errors.ts';
import {
  type AddOutcome,
  type AppendRequest,
  type ClaimOutcome,
  type CreateOutcome,
  type EndOutcome,
  type FoundRecord,
  isEnded,
  type Kind,
  type NewRecord,
  type Ownership,
  type RecordChange,
  type Records,
  type ReplayOutcome,
  type SaveOutcome,
  type Seen,
  type StoredRecord,
  type WriteOutcome,
} from '../../stores/store.ts';
import type { TimeProvider } from '../../base/types.ts';
import type { KeptLedger } from './kept-ledger.ts';

/** What a record takes besides its texts: keys, times, indexes. */
const RECORD_BYTES = 1_024;
/** A record may always end with so much. */
const SHORT_BYTES = 2_048;
/** A longer outcome is stored apart. */
const LONG_BYTES = 65_536;
const LONG = '>';
/** The share of records that say none. */
const NO_ONE = '';
/**
 * A store can be full for a moment, for instance by what others are sending to it. An outcome of a user that has little
 * is tried so often, with so long between.
 */
const TRIES = 5;
const AGAIN_MS = 200;

/** How a record of this kind ends. */
export interface KeptEnd {
  /** Whose share it counts in, where another instance has made the record. */
  readonly share: string | null;
  /** Takes the place of the outcome where that finds no room, or is forgotten. */
  readonly short: string;
}

/** A record that this instance has made or claimed, and did not end. */
interface Open {
  readonly share: string;
  readonly fields: Map<string, number>;
  bytes: number;
  /** Bytes of its log among them. */
  logged: number;
  /** As this instance has stored it; `null`: given back. */
  owner: string | null;
}

const TRIM_MS = 60_000;

export class KeptRecords implements Records {
  readonly #records: Records;
  readonly #ledger: KeptLedger;
  readonly #time: TimeProvider;
  readonly #open = new Map<string, Open>();
  /** The long outcomes that are stored, by the ends that are tried with them. */
  readonly #long = new WeakMap<KeptEnd, string>();
  /** What the log of a record has at most before it is trimmed. */
  readonly #mostLogged: number;
  #trimmedAt = -Infinity;

  constructor(records: Records, ledger: KeptLedger, time: TimeProvider, { log }: Kind) {
    this.#records = records;
    this.#ledger = ledger;
    this.#time = time;
    this.#mostLogged = log === false ? 0 : 2 * log.bytes;
  }

  // ——— while it lives ———

  /** Throws `STORE_FULL`. */
  async create(
    record: NewRecord,
    expiresInMs: number | null = null,
    dueInMs: number | null = null,
  ): Promise<CreateOutcome> {
    // A repeated creation, whose first reply was lost, is charged once.
    if (this.#open.has(record.id)) return this.#records.create(record, expiresInMs, dueInMs);
    const bytes = bytesOf(record);
    const share = record.share ?? NO_ONE;
    if (!(await this.#ledger.take(share, bytes))) return this.#refused(record.id);
    let outcome: CreateOutcome | undefined;
    try {
      outcome = await this.#records.create(record, expiresInMs, dueInMs);
      return outcome;
    } finally {
      if (outcome === 'created') this.#opens(record, share, bytes);
      else this.#ledger.charge(share, -bytes);
    }
  }

  /** A call that comes again still finds what it was told. */
  async #refused(id: string): Promise<CreateOutcome> {
    const found = await this.#records.read(id);
    if (found === undefined || (isEnded(found) && found.outcome === '')) throw keptFull();
    return 'exists';
  }

  async claim(id: string, from: Ownership, me: string): Promise<ClaimOutcome> {
    const outcome = await this.#records.claim(id, from, me);
    const open = this.#open.get(id);
    if (!outcome.claimed) this.lost(id);
    else if (open !== undefined) open.owner = me;
    else {
      const { record } = outcome;
      const share = record.share ?? NO_ONE;
      this.#ledger.charge(share, bytesOf(record));
      this.#opens(record, share, bytesOf(record));
    }
    return outcome;
  }

  /** Throws `STORE_FULL` where its fields grow past what its user may have. */
  async save(
    id: string,
    fence: { readonly epoch: number; readonly owner: string },
    change: RecordChange,
  ): Promise<SaveOutcome> {
    const open = this.#open.get(id);
    if (open === undefined) return this.#records.save(id, fence, change);
    await this.#growFields(id, open, change.fields);
    const outcome = await this.#records.save(id, fence, change);
    if (outcome === 'fenced') this.lost(id);
    else if (change.release === true) open.owner = null;
    return outcome;
  }

  /** Throws `STORE_FULL` as `save` does, where this instance has the record. */
  async add(id: string, field: string, text: string): Promise<AddOutcome> {
    const open = this.#open.get(id);
    if (open !== undefined) await this.#growFields(id, open, { [field]: text });
    return this.#records.add(id, field, text);
  }

  /** Throws `STORE_FULL` as `save` does. */
  async append(request: AppendRequest): Promise<WriteOutcome> {
    const { id, events } = request;
    const open = this.#open.get(id);
    if (open === undefined) return this.#records.append(request);
    const more = Math.min(bytesOfEvents(events), this.#mostLogged - open.logged);
    await this.#grow(id, open, more);
    open.logged += more;
    let outcome: WriteOutcome | undefined;
    try {
      outcome = await this.#records.append(request);
      return outcome;
    } finally {
      if (outcome !== 'written' && this.#open.get(id) === open) {
        open.logged -= more;
        await this.#grow(id, open, -more);
      }
    }
  }

  /** The next owner of a record reads its log, and that counts from then on. */
  async replay(id: string, stream: string, from: number): Promise<ReplayOutcome> {
    const found = await this.#records.replay(id, stream, from);
    const open = this.#open.get(id);
    if (open?.logged !== 0 || !found.found) return found;
    open.logged = bytesOfEvents(found.events.map(({ data }) => data));
    open.bytes += open.logged;
    this.#ledger.charge(open.share, open.logged);
    return found;
  }

  /** A write that is repeated is charged once. */
  async #growFields(id: string, open: Open, fields: RecordChange['fields']): Promise<void> {
    const sizes = sizesOf(fields);
    let more = 0;
    for (const [name, size] of sizes) more += size - (open.fields.get(name) ?? 0);
    await this.#grow(id, open, more);
    for (const [name, size] of sizes) open.fields.set(name, size);
  }

  /** Charges what an open record grows by. It may be lost by then: what it took was given back. */
  async #grow(id: string, open: Open, bytes: number): Promise<void> {
    if (!(await this.#ledger.take(open.share, bytes))) throw keptFull();
    if (this.#open.get(id) === open) open.bytes += bytes;
    else this.#ledger.charge(open.share, -bytes);
  }

  /** Another instance has it, or it has ended without this one. */
  lost(id: string): void {
    const open = this.#open.get(id);
    if (open === undefined) return;
    this.#open.delete(id);
    this.#ledger.charge(open.share, -open.bytes);
  }

  // ——— its end ———

  /** Never throws `STORE_FULL` with `kept`. */
  async end(
    id: string,
    from: Seen,
    outcome: string,
    keepMs = 0,
    kept?: KeptEnd,
  ): Promise<EndOutcome> {
    const share = this.#open.get(id)?.share ?? kept?.share ?? undefined;
    if (kept === undefined || share === undefined)
      return this.#end(id, from, outcome, keepMs, share);
    const bytes = Buffer.byteLength(outcome);
    const long =
      bytes > LONG_BYTES ? await this.#storeLong(share, outcome, keepMs, kept) : undefined;
    const text = long === undefined ? outcome : `${LONG}${long}\n${kept.short}`;
    const charged = bytes > SHORT_BYTES && bytes <= LONG_BYTES ? bytes : 0;
    const isTried = bytes <= LONG_BYTES || long !== undefined;
    const end = () => this.#end(id, from, text, keepMs, share);
    const ended = isTried ? await this.#inRoom(share, charged, end) : undefined;
    if (ended !== 'ended') await this.#forgetLong(kept);
    return ended ?? this.#end(id, from, kept.short, keepMs, share);
  }

  /** `charged`: bytes that the user must have room for. `undefined`: the outcome finds no room. */
  async #inRoom(
    share: string,
    charged: number,
    end: () => Promise<EndOutcome>,
  ): Promise<EndOutcome | undefined> {
    for (let tries = 1; ; tries++) {
      const isTaken = charged === 0 || (await this.#ledger.take(share, charged));
      try {
        if (isTaken) return await end();
      } catch (cause) {
        if (!findsNoRoom(cause)) throw cause;
      } finally {
        if (isTaken) this.#ledger.charge(share, -charged);
      }
      if (charged === 0 || tries === TRIES || !this.#ledger.hasLittle(share)) return undefined;
      await elapse(this.#time, AGAIN_MS);
    }
  }

  /** `undefined`: it finds no room. Where the reply to an earlier end was lost the record may name what that stored. */
  async #storeLong(
    share: string,
    outcome: string,
    keepMs: number,
    kept: KeptEnd,
  ): Promise<string | undefined> {
    const known = this.#long.get(kept);
    if (known !== undefined) return known;
    try {
      const stored = await this.#ledger.storeResult(share, outcome, keepMs);
      if (stored !== undefined) this.#long.set(kept, stored);
      return stored;
    } catch (cause) {
      if (!findsNoRoom(cause)) throw cause;
      return undefined;
    }
  }

  /** Where the store is away it stays until it expires. */
  async #forgetLong(kept: KeptEnd): Promise<void> {
    const long = this.#long.get(kept);
    this.#long.delete(kept);
    if (long !== undefined) await this.#ledger.forgetResult(long).catch(() => undefined);
  }

  async #end(
    id: string,
    from: Seen,
    outcome: string,
    keepMs: number,
    share: string | undefined,
  ): Promise<EndOutcome> {
    const ended = await this.#records.end(id, from, outcome, keepMs);
    this.lost(id);
    if (ended === 'ended' && keepMs > 0 && share !== undefined)
      this.#ledger.keep(share, RECORD_BYTES + Buffer.byteLength(outcome), keepMs);
    return ended;
  }

  /** With the whole outcome, while that is kept. */
  async read(id: string): Promise<FoundRecord> {
    const found = await this.#records.read(id);
    if (found === undefined || !isEnded(found) || !found.outcome.startsWith(LONG)) return found;
    const line = found.outcome.indexOf('\n');
    const long = await this.#ledger.readResult(found.outcome.slice(LONG.length, line));
    return { ...found, outcome: long ?? found.outcome.slice(line + 1) };
  }

  // ——— the others ———

  readonly list: Records['list'] = (...given) => this.#records.list(...given);
  readonly count: Records['count'] = (...given) => this.#records.count(...given);
  readonly countOf: Records['countOf'] = (...given) => this.#records.countOf(...given);
  readonly oldest: Records['oldest'] = (...given) => this.#records.oldest(...given);
  readonly due: Records['due'] = (...given) => this.#records.due(...given);

  /** Sweeps call it more often. */
  async trim(): Promise<void> {
    const now = monotonicMs(this.#time);
    if (now - this.#trimmedAt < TRIM_MS) return;
    this.#trimmedAt = now;
    await this.#records.trim();
    await this.#prune();
    await this.#ledger.sweep();
  }

  #opens(
    { id, owner, fields }: Pick<StoredRecord, 'id' | 'owner' | 'fields'>,
    share: string,
    bytes: number,
  ): void {
    this.#open.set(id, { share, bytes, logged: 0, owner, fields: new Map(sizesOf(fields)) });
  }

  /** What this instance gave back counts here until it has ended, or another instance has it. */
  async #prune(): Promise<void> {
    for (const [id, open] of this.#open) {
      const { owner } = open;
      const found = await this.#records.read(id);
      const counts =
        found !== undefined && !isEnded(found) && (found.owner === null || found.owner === owner);
      if (!counts && open.owner === owner && this.#open.get(id) === open) this.lost(id);
    }
  }
}

const sizeOf = (name: string, text: string | null): number =>
  text === null ? 0 : Buffer.byteLength(name) + Buffer.byteLength(text);

function bytesOf({ body, fields }: Pick<StoredRecord, 'body' | 'fields'>): number {
  let bytes = RECORD_BYTES + Buffer.byteLength(body);
  for (const [name, text] of Object.entries(fields)) bytes += sizeOf(name, text);
  return bytes;
}

const bytesOfEvents = (events: readonly string[] = []): number =>
  events.reduce((sum, event) => sum + Buffer.byteLength(event), 0);

const sizesOf = (fields: RecordChange['fields'] = {}): ReadonlyMap<string, number> =>
  new Map(Object.entries(fields).map(([name, text]) => [name, sizeOf(name, text)]));
