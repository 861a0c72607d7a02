/**
 * Session records in Redis. Each write is one script about the keys of one session. A write that creates a session,
 * ends it or makes it expire earlier also updates the directory, in the order that `session-directory.ts` gives.
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
import { SessionDirectory } from './session-directory.ts';
import { fenceText, type SessionWriter } from './session-writer.ts';
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
import { rawReply } from './server.ts';
import { CLAIM, CREATE, END, MARK, READ, SAVE } from './session-scripts.ts';

/** Records that a listing reads at once. */
const PAGE = 128;

export class RedisSessions implements SessionStore {
  readonly #writer: SessionWriter;
  readonly #directory: SessionDirectory;
  readonly #logger: Logger;

  constructor(writer: SessionWriter, logger: Logger) {
    this.#writer = writer;
    this.#logger = logger;
    this.#directory = new SessionDirectory(writer.server, writer.keys);
  }

  create(record: SessionRecord): Promise<'created' | 'exists'> {
    const { keys, keptMs, tombstoneMs } = this.#writer;
    const { id, expiresAt } = record;
    const [expiry, body, head] = [expiresAt === null ? '' : String(expiresAt), bodyOf(record), headOf(record)];
    const state = withoutEmpty(changedState({ subscriptions: record.subscriptions, state: record.state }));
    return this.#writer.steps(id, async () => {
      const until = await this.#directory.reserve(id);
      const kept = [until, keptMs, String(tombstoneMs), expiry, body];
      const fields = ['f', fenceText(record), 'w', this.#writer.next(), ...head];
      const [made] = await Promise.all([
        this.#writer.run(CREATE, keys.session(id), [...kept, String(fields.length / 2), ...fields, ...state]),
        this.#directory.scheduleCheck(id, Math.min(expiresAt ?? Infinity, Number(until))),
      ]);
      if (made === 'W') return 'created';
      if (made !== 'X') throw this.#writer.refusal(made);
      // The session existed already: schedule its check again.
      await this.#directory.scheduleCheck(id);
      return 'exists';
    });
  }

  async read(id: string): Promise<SessionRecord | EndedSession | undefined> {
    return this.#shown(await this.#find(id));
  }

  claim(id: string, expectedEpoch: number, me: string): Promise<ClaimOutcome> {
    return this.#writer.steps(id, async () => {
      let reply = await this.#claim(id, expectedEpoch, me, '');
      const [, owner] = fenceOf(fieldsOf(reply[1]).get('f') ?? '');
      if (reply[4] === 'O' && owner !== null && (await this.#writer.isDead(owner)))
        reply = await this.#claim(id, expectedEpoch, me, owner);
      const [, , , , outcome, open] = reply;
      const found = this.#found(id, reply);
      if (outcome === 'W' && found?.record !== undefined) {
        const record = { ...found.record, epoch: expectedEpoch + 1, owner: me };
        return { claimed: true, record, markers: markersOf(fieldsOf(open)) };
      }
      // Claimed, but damaged: no instance can restore the session.
      if (outcome !== 'F' && outcome !== 'O' && outcome !== 'W') throw this.#writer.refusal(outcome);
      return { claimed: false, current: this.#shown(found) };
    });
  }

  save(id: string, fence: Fence, patch: RecordPatch): Promise<WriteOutcome> {
    return this.#save(id, fence, patch, false);
  }

  release(id: string, fence: Fence, patch: RecordPatch = {}): Promise<WriteOutcome> {
    return this.#save(id, fence, patch, true);
  }

  /** The first call that ends an expired session answers `'ended'`, so that exactly one caller reports the end. */
  end(id: string, fence: Fence | null, reason: EndReason): Promise<'ended' | 'fenced' | 'gone'> {
    return this.#writer.steps(id, async () => {
      let [outcome, about = ''] = await this.#end(id, fence, '', reason);
      if (outcome === 'O') {
        if (!(await this.#writer.isDead(about))) return 'fenced';
        [outcome, about = ''] = await this.#end(id, fence, about, reason);
      }
      if (outcome === 'G') return 'gone';
      if (outcome === 'F' || outcome === 'O') return 'fenced';
      if (outcome !== 'E') throw this.#writer.refusal(outcome);
      await this.#directory.forget(id, Number(about) + this.#writer.tombstoneMs);
      return 'ended';
    });
  }

  mark(id: string, fence: Fence, marker: Marker, clear = false): Promise<WriteOutcome> {
    const [head, , , open] = this.#writer.keys.session(id);
    const args = [markerField(marker), clear ? '1' : ''];
    return this.#writer.fenced(MARK, id, [head, open], fence, args, this.#writer.outcome);
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
        // A cursor needs a further session, so that the last page has no cursor.
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
      if (owner !== null && !dead.has(owner)) dead.set(owner, this.#writer.isDead(owner));
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
    const keys = this.#writer.lasting(this.#writer.keys.session(id));
    const reply = await this.#writer.fenced(SAVE, id, keys, fence, args, rawReply);
    if (reply === 'E' && typeof expiresAt === 'number') await this.#directory.scheduleCheck(id, expiresAt);
    return this.#writer.outcome(reply);
  }

  async #claim(id: string, expectedEpoch: number, me: string, dead: string): Promise<ReadReply> {
    const [head, body, state, open] = this.#writer.keys.session(id);
    const args = [this.#writer.next(), String(expectedEpoch), me, dead, String(RECORD_VERSION)];
    return (await this.#writer.run(CLAIM, [head, body, state, open], args)) as ReadReply;
  }

  async #end(id: string, fence: Fence | null, dead: string, reason: EndReason): Promise<readonly [string, string?]> {
    const { keys, tombstoneMs } = this.#writer;
    const right = fence === null ? '' : fenceText(fence);
    const args = [this.#writer.next(), right, dead, reason, String(tombstoneMs), String(RECORD_VERSION)];
    return (await this.#writer.run(END, keys.session(id), args)) as [string, string?];
  }

  async #find(id: string): Promise<Found | undefined> {
    const [head, body, state] = this.#writer.keys.session(id);
    const reply = (await this.#writer.run(READ, [head, body, state], [])) as ReadReply;
    return this.#found(id, reply);
  }

  /** A record with a deleted or evicted part cannot be restored: it counts as missing. */
  #found(id: string, reply: ReadReply): Found | undefined {
    const { where } = this.#writer.server;
    return foundSession(id, reply, where, () =>
      this.#logger.warn(
        { sessionId: id, where },
        'The session counts as missing: a part of its record in Redis was deleted or evicted',
      ),
    );
  }

  /** What callers see: an expired session has ended. */
  #shown(found: Found | undefined): SessionRecord | EndedSession | undefined {
    if (found === undefined) return undefined;
    const { now } = found;
    if (found.record !== undefined && !found.expired) return found.record;
    const end = found.record === undefined ? found.ended : expiredValue(found.record);
    return end.at + this.#writer.tombstoneMs > now ? end : undefined;
  }

  /** Schedules an early check of a session that has ended and is still in the directory. */
  async #listed(id: string): Promise<SessionRecord | undefined> {
    const found = await this.#find(id);
    // A missing session may be in creation.
    if (found === undefined) return undefined;
    if (found.record === undefined) {
      await this.#directory.scheduleCheck(id);
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

/** A new session has no field to remove. */
function withoutEmpty(fields: readonly string[]): string[] {
  const kept: string[] = [];
  for (let n = 0; n + 1 < fields.length; n += 2) {
    const [field = '', value = ''] = [fields[n], fields[n + 1]];
    if (value !== '') kept.push(field, value);
  }
  return kept;
}
