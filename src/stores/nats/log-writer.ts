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
import type { Bounds } from './bounds.ts';
import type { ServerClock } from './clock.ts';
import type { Copy } from './copies.ts';
import { contended } from './failures.ts';
import type { JetStream } from './jetstream.ts';
import type { Ledger } from './ledger.ts';
import type { LogWrite } from './lines.ts';
import { encodeLog, PREVIOUS, type LogHeader } from './log-message.ts';
import type { LogOp } from './log-state.ts';
import type { Names } from './names.ts';
import type { Parts } from './parts.ts';
import type { LogTail } from './reader.ts';

const TRIES = 6;
/** A state in JSON that is no larger goes with every message, a larger one with every sixteenth. */
const SMALL_STATE = 1_024;

export interface LogWriterOptions {
  readonly jetstream: JetStream;
  readonly names: Names;
  readonly parts: Parts;
  readonly ledger: Ledger;
  readonly bounds: Bounds;
  readonly clock: ServerClock;
  /** Whether events are kept at all. */
  readonly keeps: boolean;
}

export interface LogNote extends Pick<LogHeader, 'epoch' | 'owner'> {
  readonly kind?: NonNullable<LogHeader['kind']>;
  readonly ops?: readonly LogOp[];
  readonly events?: readonly Buffer[];
}

export class LogWriter {
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
    const { ledger, jetstream } = this.#options;
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
    throw contended(jetstream.link.where, `the log of session ${id}`);
  }

  /** Those whose fence and place are right; the state in the copy has them then. */
  #take(copy: Copy, writes: readonly LogWrite[]): readonly LogWrite[] {
    const { epoch, owner } = copy.value.record;
    // A log that says more than the record: somebody is taking the session over right now.
    if (copy.log.epoch > epoch) return [];
    return writes.filter(
      ({ fence, op }) => fence.epoch === epoch && fence.owner === owner && copy.log.state.apply(this.#kept(op)),
    );
  }

  /** Where no events are kept, markers are. */
  #kept(op: LogOp): LogOp {
    if (this.#options.keeps) return op;
    const { m, u } = op;
    return { ...(m !== undefined && { m }), ...(u !== undefined && { u }) };
  }

  /** One message at the end of the log; `false`: it has another end by now. */
  async note(id: string, copy: Copy, note: LogNote, deadline: number): Promise<boolean> {
    const { jetstream, names, parts, ledger, bounds, clock } = this.#options;
    const { log, value } = copy;
    const { body, whole } = encode(value.birth, log, note);
    const message = parts.count(body) === 0 ? body : (await parts.store(body, () => names.logPart(id), deadline)).body;
    const seq = await jetstream.publish(names.log(id), message, deadline, { expect: log.last });
    if (seq === undefined) {
      ledger.copies.drop(id);
      return false;
    }
    log.last = seq;
    log.at = clock.known() ?? log.at;
    log.epoch = note.epoch;
    log.owner = note.owner;
    log.recent = [seq, ...log.recent].slice(0, PREVIOUS);
    log.base = whole ? seq : log.base;
    log.since = whole ? 0 : log.since + 1;
    copy.agreedAt = bounds.now();
    return true;
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
