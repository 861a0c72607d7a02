/** Records, each under a key of a bucket. A change replaces the value that was judged, or nothing. */
import { optionInvalid } from '../../errors.ts';
import type { EndReason } from '../../types.ts';
import { copyRecord } from '../memory/record-patch.ts';
import {
  RECORD_VERSION,
  type ClaimOutcome,
  type EndedSession,
  type Fence,
  type Marker,
  type RecordPatch,
  type SessionPage,
  type SessionRecord,
  type SessionStore,
  type WriteOutcome,
} from '../store.ts';
import type { Agenda } from './agenda.ts';
import type { Bounds } from './bounds.ts';
import type { ServerClock } from './clock.ts';
import type { Copy, Held } from './copies.ts';
import { contended } from './failures.ts';
import type { Ledger } from './ledger.ts';
import { shown } from './ledger.ts';
import type { Lines } from './lines.ts';
import type { LogWriter } from './log-writer.ts';
import type { Places } from './places.ts';
import { encodeValue, endedValue, newValue, patchValue, withLog, type LivingValue } from './record-value.ts';
import { NOWHERE } from './registers.ts';
import type { Sweeper } from './sweeper.ts';

const TRIES = 8;
/** An entry of the agenda that is nearer may be being looked at, with the expiry that the record had. */
const DUE_SLACK_MS = 60_000;

export interface SessionsOptions {
  readonly ledger: Ledger;
  readonly lines: Lines;
  readonly log: LogWriter;
  readonly clock: ServerClock;
  readonly bounds: Bounds;
  readonly agenda: Agenda;
  readonly places: Places;
  readonly sweeper: Sweeper;
  readonly tombstoneMs: number;
  readonly where: string;
  name(): string;
}

export class NatsSessions implements SessionStore {
  readonly #options: SessionsOptions;

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  create(record: SessionRecord): Promise<'created' | 'exists'> {
    const kept = copyRecord(record);
    return this.#options.lines.run(record.id, (deadline) => this.#create(kept, deadline));
  }

  async read(id: string): Promise<SessionRecord | EndedSession | undefined> {
    return shown(await this.#options.ledger.look(id, this.#options.bounds.deadline()));
  }

  claim(id: string, expectedEpoch: number, me: string): Promise<ClaimOutcome> {
    return this.#options.lines.run(id, (deadline) => this.#claim(id, expectedEpoch, me, deadline));
  }

  save(id: string, fence: Fence, patch: RecordPatch): Promise<WriteOutcome> {
    const kept = structuredClone(patch);
    return this.#options.lines.run(id, (deadline) =>
      this.#fenced(id, fence, deadline, (copy) => this.#replace(id, copy, patchValue(copy.value, kept), deadline)),
    );
  }

  release(id: string, fence: Fence, patch: RecordPatch = {}): Promise<WriteOutcome> {
    const kept = structuredClone(patch);
    return this.#options.lines.run(id, (deadline) =>
      this.#fenced(id, fence, deadline, async (copy) => {
        const value = patchValue(copy.value, kept);
        const released = { ...value, record: { ...value.record, owner: null } };
        // What an append whose answer was lost is still on its way is refused from here on.
        if (
          copy.log.last.seq > 0 &&
          !(await this.#options.log.note(id, copy, noteOf(fence.epoch, 'release'), deadline))
        )
          return false;
        const done = await this.#replace(id, copy, released, deadline);
        this.#options.ledger.copies.drop(id);
        return done;
      }),
    );
  }

  end(id: string, fence: Fence | null, reason: EndReason): Promise<'ended' | 'fenced' | 'gone'> {
    return this.#options.lines.run(id, (deadline) => this.#end(id, fence, reason, deadline));
  }

  mark(id: string, fence: Fence, { request, stream }: Marker, clear = false): Promise<WriteOutcome> {
    return this.#options.lines.log(id, fence, clear ? { u: [request, stream] } : { m: [request, stream] }, []);
  }

  /** In the order of their creation. */
  async list(limit: number, cursor = ''): Promise<SessionPage> {
    if (!/^\d{0,15}$/.test(cursor)) throw optionInvalid('range', 'cursor', cursor, 'a nextCursor that list() gave');
    return this.#options.sweeper.list(limit, Number(cursor));
  }

  count(): Promise<number> {
    return this.#options.sweeper.count();
  }

  expired(limit: number): Promise<readonly string[]> {
    return this.#options.sweeper.expired(limit);
  }

  /** The entries of the index first: nothing lives that is not in it. */
  async #create(record: SessionRecord, deadline: number): Promise<'created' | 'exists'> {
    const { ledger, agenda, places, name } = this.#options;
    const { id, expiresAt } = record;
    const [place] = await Promise.all([
      places.add(id, deadline),
      expiresAt === null ? undefined : agenda.add({ id, at: expiresAt }, deadline),
    ]);
    const value = newValue(record, name(), place);
    const body = encodeValue(value);
    let spot = NOWHERE;
    for (let tries = 0; tries < TRIES; tries++) {
      const written = await ledger.write(id, body, spot, deadline);
      if (written !== undefined) {
        ledger.created(id, value, written, body.length);
        return 'created';
      }
      const standing = await ledger.look(id, deadline);
      const forgotten = standing.is === 'missing' || (standing.is === 'expired' && !standing.remembered);
      if (!forgotten) {
        await places.remove(place, deadline);
        return 'exists';
      }
      spot = standing.is === 'missing' ? standing.spot : standing.held.spot;
      if (standing.is === 'expired') await this.#options.places.remove(standing.held.value.place, deadline);
    }
    throw contended(this.#options.where, `session ${id}`);
  }

  async #claim(id: string, expectedEpoch: number, me: string, deadline: number): Promise<ClaimOutcome> {
    const { ledger, log } = this.#options;
    for (let tries = 0; tries < TRIES; tries++) {
      const { standing, copy } = await ledger.lookWhole(id, deadline);
      if (copy === undefined) return { claimed: false, current: shown(standing) };
      const { record } = copy.value;
      const { epoch, owner } = record;
      if (epoch === expectedEpoch + 1 && owner === me) return claimedBy(copy);
      const free = epoch === expectedEpoch && (owner === me || (await ledger.ownerless(owner, deadline)));
      if (!free) return { claimed: false, current: record };
      const next = epoch + 1;
      // A claim of somebody else is further than the record that was read, or the store lost the end of its records.
      if (copy.log.epoch > next && !(await this.#lostRecords(id, copy, deadline))) continue;
      const claim = { epoch: next, owner: me, kind: 'claim' } as const;
      if (!(await log.note(id, copy, claim, deadline))) continue;
      const value = { ...copy.value, record: { ...record, epoch: next, owner: me } };
      if (await this.#replace(id, copy, value, deadline)) return claimedBy(copy);
    }
    throw contended(this.#options.where, `session ${id}`);
  }

  /** Whether the record still has the epoch that was read before the end of the log was. */
  async #lostRecords(id: string, copy: Copy, deadline: number): Promise<boolean> {
    const standing = await this.#options.ledger.look(id, deadline);
    return standing.is === 'living' && standing.held.spot.seq === copy.spot.seq;
  }

  async #end(
    id: string,
    fence: Fence | null,
    reason: EndReason,
    deadline: number,
  ): Promise<'ended' | 'fenced' | 'gone'> {
    const { ledger, agenda, clock, tombstoneMs } = this.#options;
    for (let tries = 0; tries < TRIES; tries++) {
      const standing = await ledger.look(id, deadline);
      if (standing.is === 'missing' || standing.is === 'ended') return 'gone';
      const { held } = standing;
      const { epoch, owner } = held.value.record;
      const allowed =
        fence === null ? await ledger.ownerless(owner, deadline) : epoch === fence.epoch && owner === fence.owner;
      if (!allowed) return 'fenced';
      const now = await clock.now(deadline);
      // Expired before: it ended then, as idle, whatever the reason is now.
      const ended = standing.is === 'expired' ? standing.ended : { v: RECORD_VERSION, id, ended: reason, at: now };
      const forgetAt = ended.at + tombstoneMs;
      await agenda.add({ id, at: forgetAt }, deadline);
      if (fence === null && owner !== null && !(await this.#closeLog(id, held, epoch + 1, deadline))) continue;
      const body = encodeValue(endedValue(ended, forgetAt, held.value.place));
      if ((await ledger.write(id, body, held.spot, deadline)) === undefined) continue;
      ledger.copies.drop(id);
      await this.#cleanUp(id, held, epoch + 1, deadline);
      return 'ended';
    }
    throw contended(this.#options.where, `session ${id}`);
  }

  /** From here on nothing that an earlier owner still sends gets into the log. */
  async #closeLog(id: string, held: Held, epoch: number, deadline: number): Promise<boolean> {
    const { ledger, log } = this.#options;
    const copy = await ledger.withLog(id, held, deadline);
    return log.note(id, copy, noteOf(epoch, 'end'), deadline);
  }

  /** What fails here is done when the tombstone is due. */
  async #cleanUp(id: string, held: Held, epoch: number, deadline: number): Promise<void> {
    const { ledger, places, log } = this.#options;
    ledger.removeParts(held.parts, deadline);
    await Promise.allSettled([places.remove(held.value.place, deadline), log.close(id, held, epoch, deadline)]);
  }

  /** Runs a change of the owner's, again when somebody else has changed the record meanwhile. */
  async #fenced(
    id: string,
    { epoch, owner }: Fence,
    deadline: number,
    change: (copy: Copy) => Promise<boolean>,
  ): Promise<WriteOutcome> {
    const { ledger } = this.#options;
    let fresh = false;
    for (let tries = 0; tries < TRIES; tries++) {
      const copy = await ledger.copy(id, deadline, fresh);
      const { record } = copy?.value ?? {};
      if (copy === undefined || record?.epoch !== epoch || record.owner !== owner) {
        if (copy?.fresh !== false) return 'fenced';
      } else if (await change(copy)) return 'written';
      fresh = true;
    }
    throw contended(this.#options.where, `session ${id}`);
  }

  /** With the state of the log, and an entry of the agenda where the expiry asks for one. */
  async #replace(id: string, copy: Copy, value: LivingValue, deadline: number): Promise<boolean> {
    const { ledger } = this.#options;
    const { last, state } = copy.log;
    const due = await this.#arrange(id, value, deadline);
    const log = last.seq === 0 ? undefined : { last: last.seq, state: state.summary() };
    return ledger.replace(id, copy, withLog({ ...value, due }, log), deadline);
  }

  /** An entry that comes earlier does: whoever looks at it then makes the next one. */
  async #arrange(id: string, { record: { expiresAt }, due }: LivingValue, deadline: number): Promise<number | null> {
    if (expiresAt === null || due === expiresAt) return due;
    const { agenda, clock } = this.#options;
    if (due !== null && due < expiresAt && due > (await clock.now(deadline)) + DUE_SLACK_MS) return due;
    await agenda.add({ id, at: expiresAt }, deadline);
    return expiresAt;
  }
}

const claimedBy = ({ value, log }: Copy): ClaimOutcome => ({
  claimed: true,
  record: value.record,
  markers: log.state.markers,
});

const noteOf = (epoch: number, kind: 'release' | 'end') => ({ epoch, owner: null, kind }) as const;
