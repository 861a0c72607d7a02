/**
 * Session records in Redis. Each write is one script about the keys of one session. A write that creates a session,
 * ends it or makes it expire earlier also updates the directory, in the order that `session-directory.ts` gives.
 */
import type { EndReason, Logger } from '../../types.ts';
import { idOf } from '../shared/cursor.ts';
import { expiredSession } from '../shared/expired-session.ts';
import { RECORD_VERSION } from '../store.ts';
import type {
  ClaimOutcome,
  EndedSession,
  ExpiredSession,
  Fence,
  Marker,
  NewRecord,
  Ownership,
  RecordChange,
  SessionPage,
  StoredRecord,
  SessionStore,
  WriteOutcome,
} from '../store.ts';
import { RESERVED_MS, SessionDirectory } from './session-directory.ts';
import { fenceText, type SessionWriter } from './session-writer.ts';
import {
  bodyOf,
  changedFields,
  changedHead,
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

  create(record: NewRecord, expiresInMs: number | null = null): Promise<'created' | 'exists'> {
    const { keys, keptMs, tombstoneMs } = this.#writer;
    const { id } = record;
    const [lasts, body, head] = [expiresInMs === null ? '' : String(expiresInMs), bodyOf(record), headOf(record)];
    const named = changedFields(record.fields);
    return this.#writer.steps(id, async () => {
      const until = await this.#directory.reserve(id);
      const kept = [until, keptMs, String(tombstoneMs), lasts, body];
      const fields = ['f', fenceText(record), 'w', this.#writer.next(), ...head];
      const [made] = await Promise.all([
        this.#writer.run(CREATE, keys.session(id), [...kept, String(fields.length / 2), ...fields, ...named]),
        this.#directory.scheduleCheck(id, checkOfNew(Number(until), expiresInMs)),
      ]);
      if (made === 'W') return 'created';
      if (made !== 'X') throw this.#writer.refusal(made);
      // The session existed already: schedule its check again.
      await this.#directory.scheduleCheck(id);
      return 'exists';
    });
  }

  async read(id: string): Promise<StoredRecord | EndedSession | undefined> {
    return this.#shown(await this.#find(id));
  }

  claim(id: string, from: Ownership, me: string): Promise<ClaimOutcome> {
    return this.#writer.step(id, async () => {
      const reply = await this.#claim(id, from, me);
      const [, , , , outcome, open] = reply;
      const found = this.#found(id, reply);
      if (outcome === 'W' && found?.record !== undefined) {
        const record = { ...found.record, epoch: from.epoch + 1, owner: me };
        const expiresInMs = record.expiresAt === null ? null : record.expiresAt - found.now;
        return { claimed: true, record, markers: markersOf(fieldsOf(open)), expiresInMs };
      }
      // Claimed, but damaged: no instance can restore the session.
      if (outcome !== 'F' && outcome !== 'W') throw this.#writer.refusal(outcome);
      return { claimed: false, current: this.#shown(found) };
    });
  }

  save(id: string, fence: Fence, change: RecordChange): Promise<WriteOutcome> {
    return this.#save(id, fence, change, false);
  }

  release(id: string, fence: Fence, change: RecordChange = {}): Promise<WriteOutcome> {
    return this.#save(id, fence, change, true);
  }

  /** The first call that ends an expired session answers `'ended'`, so that exactly one caller reports the end. */
  end(id: string, from: Ownership, reason: EndReason): Promise<'ended' | 'fenced' | 'gone'> {
    return this.#writer.steps(id, async () => {
      const [outcome, at = ''] = await this.#end(id, from, reason);
      if (outcome === 'G') return 'gone';
      if (outcome === 'F') return 'fenced';
      if (outcome !== 'E') throw this.#writer.refusal(outcome);
      await this.#directory.forget(id, Number(at) + this.#writer.tombstoneMs);
      return 'ended';
    });
  }

  mark(id: string, fence: Fence, marker: Marker, clear = false): Promise<WriteOutcome> {
    const [head, , , open] = this.#writer.keys.session(id);
    const args = [markerField(marker), clear ? '1' : ''];
    return this.#writer.fenced(MARK, id, [head, open], fence, args, this.#writer.outcome);
  }

  /** In the order of their ids. */
  async list(limit: number, cursor?: string): Promise<SessionPage> {
    const records: StoredRecord[] = [];
    for (let from = idOf(cursor); ;) {
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

  async expired(limit: number): Promise<readonly ExpiredSession[]> {
    const expired: ExpiredSession[] = [];
    for await (const session of this.#directory.expired()) {
      expired.push(session);
      if (expired.length >= limit) break;
    }
    return expired;
  }

  async #save(id: string, fence: Fence, change: RecordChange, releases: boolean): Promise<WriteOutcome> {
    const { expiresInMs } = change;
    const lasts = expiresInMs === undefined ? '' : expiresInMs === null ? 'never' : String(expiresInMs);
    const head = changedHead(change);
    const after = releases ? fenceText({ epoch: fence.epoch, owner: null }) : '';
    const args = [after, lasts, String(head.length / 2), ...head, ...changedFields(change.fields)];
    const keys = this.#writer.lasting(this.#writer.keys.session(id));
    const reply = await this.#writer.fenced(SAVE, id, keys, fence, args, rawReply);
    if (Array.isArray(reply)) {
      await this.#directory.scheduleCheck(id, Number(reply[1]));
      return 'written';
    }
    return this.#writer.outcome(reply);
  }

  async #claim(id: string, from: Ownership, me: string): Promise<ReadReply> {
    const [head, body, state, open] = this.#writer.keys.session(id);
    const claimed = fenceText({ epoch: from.epoch + 1, owner: me });
    const args = [this.#writer.next(), fenceText(from), claimed, String(RECORD_VERSION)];
    return (await this.#writer.run(CLAIM, [head, body, state, open], args)) as ReadReply;
  }

  async #end(id: string, from: Ownership, reason: EndReason): Promise<readonly [string, string?]> {
    const { keys, tombstoneMs } = this.#writer;
    const args = [this.#writer.next(), fenceText(from), reason, String(tombstoneMs), String(RECORD_VERSION)];
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
  #shown(found: Found | undefined): StoredRecord | EndedSession | undefined {
    if (found === undefined) return undefined;
    const { now } = found;
    if (found.record !== undefined && !found.expired) return found.record;
    const end = found.record === undefined ? found.ended : expiredSession(found.record.id, found.record.expiresAt ?? 0);
    return end.at + this.#writer.tombstoneMs > now ? end : undefined;
  }

  /** Schedules an early check of a session that has ended and is still in the directory. */
  async #listed(id: string): Promise<StoredRecord | undefined> {
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

/**
 * When to check a new session first, by the server's clock: at its expiry or a moment before, and not after the time
 * until which it may be created. The reservation shows what the server's clock was.
 */
function checkOfNew(until: number, expiresInMs: number | null): number {
  return expiresInMs === null ? until : Math.min(until - RESERVED_MS / 2 + expiresInMs, until);
}
