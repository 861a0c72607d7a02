/**
 * Writes a record's log. Every message continues the last known one. If another message came between, the server
 * refuses, and the writer reads everything again.
 *
 * An earlier owner cannot write after a claim. A claim first writes a message with the new epoch into the log, and then
 * the new owner into the record. No message follows one of a higher epoch. A message follows one of another owner or a
 * lower epoch only if the record was read since then and names the writer. So when the claim is in the record, every
 * message of earlier owners is either before the claim in the log, where the claimer reads it, or refused.
 *
 * A crash leaves whole messages, and at most a claim in the log without the record. The next claim continues from
 * there.
 */
import type { CachedRecord, HeldValue } from './record-cache.ts';
import { contended } from './failures.ts';
import type { NatsRecordTable } from './record-table.ts';
import type { LogWrite } from './write-queues.ts';
import { encodeLog, PREVIOUS, type LogHeader } from './log-message.ts';
import { LogState, type LogOp } from './log-state.ts';
import type { NatsKind } from './kind.ts';
import type { Purger } from './purger.ts';
import { RetentionCounter } from './retention-counter.ts';
import type { LogTail } from './reader.ts';
import { shownRecord } from '../shared/failures.ts';

const TRIES = 6;
/** How many logs are rewritten at once. */
const REWRITTEN = 64;
/** A state of at most this JSON length is in every message, a larger one in every sixteenth. */
const SMALL_STATE = 1_024;

export interface LogWriterOptions extends NatsKind {
  readonly table: NatsRecordTable;
  readonly purger: Purger;
}

export interface LogNote extends Pick<LogHeader, 'epoch' | 'owner'> {
  readonly kind?: NonNullable<LogHeader['kind']>;
  readonly ops?: readonly LogOp[];
  readonly events?: readonly Buffer[];
}

export class LogWriter {
  /** Logs with open streams or marks and the monotonic time of their last write, oldest first. */
  readonly #active = new Map<string, number>();
  readonly #options: LogWriterOptions;

  constructor(options: LogWriterOptions) {
    this.#options = options;
  }

  /** Writes appends and marks, and settles each. */
  async write(id: string, writes: readonly LogWrite[]): Promise<void> {
    try {
      await this.#write(id, writes);
    } catch (error) {
      // The write may or may not be stored, so the next write reads again.
      this.#options.table.cache.drop(id);
      for (const write of writes) write.reject(error);
    }
  }

  async #write(id: string, writes: readonly LogWrite[]): Promise<void> {
    const { table, where } = this.#options;
    let fresh = false;
    for (let tries = 0; tries < TRIES; tries++) {
      const cached = await table.cached(id, fresh);
      const taken = cached === undefined ? [] : this.#take(cached, writes);
      // The cached state may be out of date. No write is refused because of it.
      if (taken.length < writes.length && cached?.fresh === false) {
        fresh = true;
        continue;
      }
      const first = taken[0];
      if (cached !== undefined && first !== undefined) {
        const { epoch, owner } = first.fence;
        const ops = taken.map(({ op }) => op);
        const note = { epoch, owner, ops, events: taken.flatMap(({ events }) => events) };
        if (!(await this.note(id, cached, note))) {
          fresh = true;
          continue;
        }
      }
      for (const write of writes) write.resolve(taken.includes(write) ? 'written' : 'fenced');
      return;
    }
    throw contended(where, `the log of ${shownRecord(id)}`);
  }

  /** The writes whose fence and offset match. They are applied to the cached state. */
  #take(cached: CachedRecord, writes: readonly LogWrite[]): readonly LogWrite[] {
    const { epoch, owner } = cached.value.record;
    // The log has a higher epoch than the record: another instance is claiming the record now.
    if (cached.log.epoch > epoch) return [];
    return writes.filter(
      ({ fence, op }) => fence.epoch === epoch && fence.owner === owner && cached.log.state.apply(op),
    );
  }

  /** Appends one message; `false`: the log has another end by now. */
  async note(id: string, cached: CachedRecord, note: LogNote): Promise<boolean> {
    const { values, names, parts, table, deadlines } = this.#options;
    const { log, value } = cached;
    const { body, whole } = encode(value.birth, log, note);
    const message = parts.count(body) === 0 ? body : (await parts.store(body, () => names.logPart(id))).body;
    const last = await values.write('log', names.log(id), message, log.last);
    if (last === undefined) {
      table.cache.drop(id);
      return false;
    }
    const { seq: after } = log.last;
    log.last = last;
    log.epoch = note.epoch;
    log.owner = note.owner;
    log.recent = [last.seq, ...log.recent].slice(0, PREVIOUS);
    log.base = whole ? last.seq : log.base;
    log.since = whole ? 0 : log.since + 1;
    cached.agreedAt = deadlines.now();
    this.#active.delete(id);
    if (note.owner !== null && !log.state.idle) this.#active.set(id, cached.agreedAt);
    this.#counter(id, cached, after, note.ops ?? []);
    return true;
  }

  /** Ends the log of an ended record with a note, which makes the server refuse later messages. */
  async close(id: string, held: HeldValue, epoch: number): Promise<void> {
    const cached = await this.#options.table.withLog(id, held);
    const { last } = cached.log;
    const nothing = { ...cached, log: { ...cached.log, recent: [], state: new LogState() } };
    if (!(await this.note(id, nothing, { epoch, owner: null, kind: 'end' }))) return;
    if (last.seq > 0) this.#options.purger.purge(this.#options.names, id, nothing.log.last.seq, nothing.log.last.seq);
  }

  /** Some records whose logs have open streams or marks and were last written before this monotonic time. */
  writtenBefore(time: number): readonly string[] {
    const old: string[] = [];
    for (const [id, at] of this.#active) {
      if (at > time || old.length === REWRITTEN) break;
      old.push(id);
    }
    return old;
  }

  /** Writes the end of a log anew before the server forgets it by age, while a stream is open or a call runs. */
  async rewrite(id: string): Promise<void> {
    const { table, owns } = this.#options;
    const cached = await table.cached(id, false);
    const { epoch, owner } = cached?.value.record ?? {};
    if (cached === undefined || epoch === undefined || typeof owner !== 'string' || !owns(owner))
      this.#active.delete(id);
    // If another owner has written since, the log is that owner's, or the next write looks at it.
    else if (cached.log.epoch === epoch && cached.log.owner === owner)
      await this.note(id, cached, { epoch, owner, kind: 'keep' });
  }

  #counter(id: string, cached: CachedRecord, after: number, ops: readonly LogOp[]): void {
    const { kind, names, purger } = this.#options;
    if (kind.log === false || ops.length === 0) return;
    const { last, base } = cached.log;
    const kept = (cached.counter ??= new RetentionCounter(kind.log)).add(last.seq, after, ops);
    if (kept === undefined) return;
    // The last message with the whole state stays. The parts of a message come after the message before it.
    if (base < kept.seq) purger.purge(names, id, base, 0);
    else purger.purge(names, id, kept.seq, kept.after);
  }
}

/** The cached state is already the one after this message. */
function encode(birth: string, log: LogTail, note: LogNote): { readonly body: Buffer; readonly whole: boolean } {
  const { epoch, owner, kind, ops = [], events = [] } = note;
  const summary = log.state.summary();
  const whole =
    kind !== undefined || log.base === 0 || log.since >= PREVIOUS - 2 || JSON.stringify(summary).length <= SMALL_STATE;
  const header: LogHeader = {
    birth,
    epoch,
    owner,
    ops,
    previous: log.recent,
    ...(kind !== undefined && { kind }),
    ...(whole ? { summary } : { base: log.base }),
  };
  return { body: encodeLog(header, events), whole };
}
