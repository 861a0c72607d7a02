/**
 * Writing a session's log. Every message continues the one that is known to be the last; the server refuses it when another
 * one came in between, and then everything is read and judged anew.
 *
 * What makes a write of an earlier owner impossible: whoever claims a session first writes a message of the new epoch into
 * its log, then the new owner into its record. A message is never put after one of a higher epoch, and after one of another
 * owner, or of a lower epoch, only when the record was read since and names the writer. So once a claim stands in the
 * record, everything that earlier owners have sent and will ever send either stands before it in the log, where the claimer
 * reads it, or is refused.
 */
import type { EventRetention } from '../../types.ts';
import type { Bounds } from './bounds.ts';
import type { Copy, Held } from './copies.ts';
import { contended } from './failures.ts';
import type { Ledger } from './ledger.ts';
import type { LogWrite } from './lines.ts';
import { encodeLog, PREVIOUS, type LogHeader } from './log-message.ts';
import { LogState, type LogOp } from './log-state.ts';
import type { Names } from './names.ts';
import { Overflow } from './overflow.ts';
import type { Parts } from './parts.ts';
import type { LogTail } from './reader.ts';
import type { Registers } from './registers.ts';

const TRIES = 6;
/** A state in JSON that is no larger goes with every message, a larger one with every sixteenth. */
const SMALL_STATE = 1_024;

export interface LogWriterOptions {
  readonly registers: Registers;
  readonly names: Names;
  readonly parts: Parts;
  readonly ledger: Ledger;
  readonly bounds: Bounds;
  readonly retention: EventRetention | false;
  /** Takes what is older than a sequence off the disk, in its own time; of parts what is older than another one. */
  purge(id: string, before: number, partsBefore: number): void;
}

export interface LogNote extends Pick<LogHeader, 'epoch' | 'owner'> {
  readonly kind?: NonNullable<LogHeader['kind']>;
  readonly ops?: readonly LogOp[];
  readonly events?: readonly Buffer[];
}

export class LogWriter {
  /** Logs that say something, and when they were last written, by the monotonic clock; the oldest first. */
  readonly telling = new Map<string, number>();
  readonly #options: LogWriterOptions;

  constructor(options: LogWriterOptions) {
    this.#options = options;
  }

  /** Appends and marks; each is answered. */
  async write(id: string, writes: readonly LogWrite[]): Promise<void> {
    try {
      await this.#write(id, writes);
    } catch (error) {
      // Whether it is stored is unknown: the next write looks.
      this.#options.ledger.copies.drop(id);
      for (const write of writes) write.reject(error);
    }
  }

  async #write(id: string, writes: readonly LogWrite[]): Promise<void> {
    const { ledger, registers } = this.#options;
    const deadline = Math.min(...writes.map((write) => write.deadline));
    let fresh = false;
    for (let tries = 0; tries < TRIES; tries++) {
      const copy = await ledger.copy(id, deadline, fresh);
      const taken = copy === undefined ? [] : this.#take(copy, writes);
      // What was known here may be out of date: nobody is refused for that.
      if (taken.length < writes.length && copy?.fresh === false) {
        fresh = true;
        continue;
      }
      const first = taken[0];
      if (copy !== undefined && first !== undefined) {
        const { epoch, owner } = first.fence;
        const ops = taken.map(({ op }) => op);
        const note = { epoch, owner, ops, events: taken.flatMap(({ events }) => events) };
        if (!(await this.note(id, copy, note, deadline))) {
          fresh = true;
          continue;
        }
      }
      for (const write of writes) write.resolve(taken.includes(write) ? 'written' : 'fenced');
      return;
    }
    throw contended(registers.jetstream.link.where, `the log of session ${id}`);
  }

  /** Those whose fence and place are right; the state in the copy has them then. */
  #take(copy: Copy, writes: readonly LogWrite[]): readonly LogWrite[] {
    const { epoch, owner } = copy.value.record;
    // A log that says more than the record: somebody is taking the session over right now.
    if (copy.log.epoch > epoch) return [];
    return writes.filter(({ fence, op }) => fence.epoch === epoch && fence.owner === owner && copy.log.state.apply(op));
  }

  /** One message at the end of the log; `false`: it has another end by now. */
  async note(id: string, copy: Copy, note: LogNote, deadline: number): Promise<boolean> {
    const { registers, names, parts, ledger, bounds } = this.#options;
    const { log, value } = copy;
    const { body, whole } = encode(value.birth, log, note);
    const message = parts.count(body) === 0 ? body : (await parts.store(body, () => names.logPart(id), deadline)).body;
    const last = await registers.write('log', names.log(id), message, log.last, deadline);
    if (last === undefined) {
      ledger.copies.drop(id);
      return false;
    }
    const { seq: after } = log.last;
    log.last = last;
    log.epoch = note.epoch;
    log.owner = note.owner;
    log.recent = [last.seq, ...log.recent].slice(0, PREVIOUS);
    log.base = whole ? last.seq : log.base;
    log.since = whole ? 0 : log.since + 1;
    copy.agreedAt = bounds.now();
    this.telling.delete(id);
    if (note.owner !== null && !log.state.idle) this.telling.set(id, copy.agreedAt);
    this.#overflow(id, copy, after, note.ops ?? []);
    return true;
  }

  /** The log of a session that has ended: a note that says so stays at its end, and refuses what still comes. */
  async close(id: string, held: Held, epoch: number, deadline: number): Promise<void> {
    const copy = await this.#options.ledger.withLog(id, held, deadline);
    const { last } = copy.log;
    const nothing = { ...copy, log: { ...copy.log, recent: [], state: new LogState() } };
    if (!(await this.note(id, nothing, { epoch, owner: null, kind: 'end' }, deadline))) return;
    if (last.seq > 0) this.#options.purge(id, nothing.log.last.seq, nothing.log.last.seq);
  }

  #overflow(id: string, copy: Copy, after: number, ops: readonly LogOp[]): void {
    const { retention, purge } = this.#options;
    if (retention === false || ops.length === 0) return;
    const { last, base } = copy.log;
    const kept = (copy.overflow ??= new Overflow(retention)).add(last.seq, after, ops);
    if (kept === undefined) return;
    // The last message with the whole state stays. Parts of a message come after the message before it.
    if (base < kept.seq) purge(id, base, 0);
    else purge(id, kept.seq, kept.after);
  }
}

/** The state of the copy is the one after the message. */
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
