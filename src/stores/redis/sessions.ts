/**
 * Records in Redis: each write is one script about the keys of one session. What makes a session, ends it or lets it end
 * earlier is told to the directory too, in the order that `directory.ts` gives.
 */
import { optionInvalid } from '../../errors.ts';
import type { EndReason, Logger } from '../../types.ts';
import { RECORD_VERSION } from '../store.ts';
import type {
  ClaimOutcome,
  EndedSession,
  Fence,
  Marker,
  RecordPatch,
  SessionPage,
  SessionRecord,
  SessionStore,
  WriteOutcome,
} from '../store.ts';
import { Directory } from './directory.ts';
import { fenceText, type Ledger } from './ledger.ts';
import {
  bodyOf,
  changedHead,
  changedState,
  fenceOf,
  fieldsOf,
  foundSession,
  headOf,
  markerField,
  markersOf,
  type Found,
  type ReadReply,
} from './records.ts';
import { asItIs } from './server.ts';
import { CLAIM, CREATE, END, MARK, READ, SAVE } from './session-scripts.ts';

/** Records read at once by a listing. */
const PAGE = 128;

export class RedisSessions implements SessionStore {
  readonly #ledger: Ledger;
  readonly #directory: Directory;
  readonly #logger: Logger;

  constructor(ledger: Ledger, logger: Logger) {
    this.#ledger = ledger;
    this.#logger = logger;
    this.#directory = new Directory(ledger.server, ledger.keys);
  }

  create(record: SessionRecord): Promise<'created' | 'exists'> {
    const { keys, keptMs, tombstoneMs } = this.#ledger;
    const { id, expiresAt } = record;
    const [expiry, body, head] = [expiresAt === null ? '' : String(expiresAt), bodyOf(record), headOf(record)];
    const state = withoutEmpty(changedState({ subscriptions: record.subscriptions, state: record.state }));
    return this.#ledger.steps(id, async () => {
      const until = await this.#directory.reserve(id);
      const kept = [until, keptMs, String(tombstoneMs), expiry, body];
      const fields = ['f', fenceText(record), 'w', this.#ledger.next(), ...head];
      const [made] = await Promise.all([
        this.#ledger.run(CREATE, keys.session(id), [...kept, String(fields.length / 2), ...fields, ...state]),
        this.#directory.look(id, Math.min(expiresAt ?? Infinity, Number(until))),
      ]);
      if (made === 'W') return 'created';
      if (made !== 'X') throw this.#ledger.refusal(made);
      // One that was there before is looked at in its own time again.
      await this.#directory.look(id);
      return 'exists';
    });
  }

  async read(id: string): Promise<SessionRecord | EndedSession | undefined> {
    return this.#shown(await this.#find(id));
  }

  claim(id: string, expectedEpoch: number, me: string): Promise<ClaimOutcome> {
    return this.#ledger.steps(id, async () => {
      let reply = await this.#claim(id, expectedEpoch, me, '');
      const [, owner] = fenceOf(fieldsOf(reply[1]).get('f') ?? '');
      if (reply[4] === 'O' && owner !== null && (await this.#ledger.isDead(owner)))
        reply = await this.#claim(id, expectedEpoch, me, owner);
      const [, , , , outcome, open] = reply;
      const found = this.#found(id, reply);
      if (outcome === 'W' && found?.record !== undefined) {
        const record = { ...found.record, epoch: expectedEpoch + 1, owner: me };
        return { claimed: true, record, markers: markersOf(fieldsOf(open)) };
      }
      // Claimed, and damaged: nobody can restore it.
      if (outcome !== 'F' && outcome !== 'O' && outcome !== 'W') throw this.#ledger.refusal(outcome);
      return { claimed: false, current: this.#shown(found) };
    });
  }

  save(id: string, fence: Fence, patch: RecordPatch): Promise<WriteOutcome> {
    return this.#save(id, fence, patch, false);
  }

  release(id: string, fence: Fence, patch: RecordPatch = {}): Promise<WriteOutcome> {
    return this.#save(id, fence, patch, true);
  }

  /** An expired session that nobody has ended yet answers `'ended'` once, so that one caller can tell of its end. */
  end(id: string, fence: Fence | null, reason: EndReason): Promise<'ended' | 'fenced' | 'gone'> {
    return this.#ledger.steps(id, async () => {
      let [outcome, about = ''] = await this.#end(id, fence, '', reason);
      if (outcome === 'O') {
        if (!(await this.#ledger.isDead(about))) return 'fenced';
        [outcome, about = ''] = await this.#end(id, fence, about, reason);
      }
      if (outcome === 'G') return 'gone';
      if (outcome === 'F' || outcome === 'O') return 'fenced';
      if (outcome !== 'E') throw this.#ledger.refusal(outcome);
      await this.#directory.forget(id, Number(about) + this.#ledger.tombstoneMs);
      return 'ended';
    });
  }

  mark(id: string, fence: Fence, marker: Marker, clear = false): Promise<WriteOutcome> {
    const [head, , , open] = this.#ledger.keys.session(id);
    const args = [markerField(marker), clear ? '1' : ''];
    return this.#ledger.fenced(MARK, id, [head, open], fence, args, this.#ledger.outcome);
  }

  /** In the order of their ids. */
  async list(limit: number, cursor = ''): Promise<SessionPage> {
    if (cursor !== '' && !/^[\x21-\x7e]+$/.test(cursor))
      throw optionInvalid('range', 'cursor', cursor, 'a nextCursor that list() gave');
    const records: SessionRecord[] = [];
    for (let from = cursor; ;) {
      const ids = await this.#directory.page(Math.min(PAGE, limit + 1), from);
      for (const found of await Promise.all(ids.map((id) => this.#listed(id)))) {
        if (found === undefined) continue;
        const last = records.at(-1);
        // Only a session that is still to come makes a cursor: the last page has none.
        if (records.length >= limit && last !== undefined) return { records, nextCursor: last.id };
        records.push(found);
      }
      const last = ids.at(-1);
      if (last === undefined || ids.length < Math.min(PAGE, limit + 1)) return { records };
      from = last;
    }
  }

  count(): Promise<number> {
    return this.#directory.count();
  }

  async expired(limit: number): Promise<readonly string[]> {
    const ids: string[] = [];
    const dead = new Map<string, Promise<boolean>>();
    for await (const { id, owner } of this.#directory.expired()) {
      if (owner !== null && !dead.has(owner)) dead.set(owner, this.#ledger.isDead(owner));
      if (owner === null || (await dead.get(owner))) ids.push(id);
      if (ids.length >= limit) break;
    }
    return ids;
  }

  async #save(id: string, fence: Fence, patch: RecordPatch, releases: boolean): Promise<WriteOutcome> {
    const { expiresAt } = patch;
    const expiry = expiresAt === undefined ? '' : expiresAt === null ? 'never' : String(expiresAt);
    const head = changedHead(patch);
    const after = releases ? fenceText({ epoch: fence.epoch, owner: null }) : '';
    const args = [after, expiry, String(head.length / 2), ...head, ...changedState(patch)];
    const keys = this.#ledger.lasting(this.#ledger.keys.session(id));
    const reply = await this.#ledger.fenced(SAVE, id, keys, fence, args, asItIs);
    if (reply === 'E' && typeof expiresAt === 'number') await this.#directory.look(id, expiresAt);
    return this.#ledger.outcome(reply);
  }

  async #claim(id: string, expectedEpoch: number, me: string, dead: string): Promise<ReadReply> {
    const [head, body, state, open] = this.#ledger.keys.session(id);
    const args = [this.#ledger.next(), String(expectedEpoch), me, dead, String(RECORD_VERSION)];
    return (await this.#ledger.run(CLAIM, [head, body, state, open], args)) as ReadReply;
  }

  async #end(id: string, fence: Fence | null, dead: string, reason: EndReason): Promise<readonly [string, string?]> {
    const { keys, tombstoneMs } = this.#ledger;
    const right = fence === null ? '' : fenceText(fence);
    const args = [this.#ledger.next(), right, dead, reason, String(tombstoneMs), String(RECORD_VERSION)];
    return (await this.#ledger.run(END, keys.session(id), args)) as [string, string?];
  }

  async #find(id: string): Promise<Found | undefined> {
    const [head, body, state] = this.#ledger.keys.session(id);
    const reply = (await this.#ledger.run(READ, [head, body, state], [])) as ReadReply;
    return this.#found(id, reply);
  }

  /** A record of which something was deleted or evicted cannot be restored: it is missing. */
  #found(id: string, reply: ReadReply): Found | undefined {
    const { where } = this.#ledger.server;
    return foundSession(id, reply, where, () =>
      this.#logger.warn(
        { sessionId: id, where },
        'Part of the record of this session is missing in Redis: keys were deleted or evicted. The session counts as missing',
      ),
    );
  }

  /** What everybody sees of it: past its expiry a session has ended. */
  #shown(found: Found | undefined): SessionRecord | EndedSession | undefined {
    if (found === undefined) return undefined;
    const { now } = found;
    if (found.record !== undefined && !found.expired) return found.record;
    const end = found.record === undefined ? found.ended : expiredValue(found.record);
    return end.at + this.#ledger.tombstoneMs > now ? end : undefined;
  }

  /** What has ended and stands in the directory still is looked at soon. */
  async #listed(id: string): Promise<SessionRecord | undefined> {
    const found = await this.#find(id);
    // One that is missing may just be made.
    if (found === undefined) return undefined;
    if (found.record === undefined) {
      await this.#directory.look(id);
      return undefined;
    }
    return found.expired ? undefined : found.record;
  }
}

const expiredValue = ({ id, expiresAt }: SessionRecord): EndedSession => ({
  v: RECORD_VERSION,
  id,
  ended: 'idle',
  at: expiresAt ?? 0,
});

/** There is nothing yet that they would remove. */
function withoutEmpty(fields: readonly string[]): string[] {
  const kept: string[] = [];
  for (let n = 0; n + 1 < fields.length; n += 2) {
    const [field = '', value = ''] = [fields[n], fields[n + 1]];
    if (value !== '') kept.push(field, value);
  }
  return kept;
}
