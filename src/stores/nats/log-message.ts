/**
 * A message of a record's log: one line of JSON, followed by the events without separators.
 *
 * Every message names the epoch and owner that wrote it, and continues the message before it by the expected sequence
 * of its subject. Besides its own operations it has the state of the log after it, so that the next owner reads one
 * message. A large state is only in every sixteenth message. Each message also has the sequences of earlier messages,
 * so that a replay needs no search.
 */
import type { LogOp, LogSummary } from './log-state.ts';
import { storedJson } from './stored-json.ts';
import { shownRecord } from '../shared/failures.ts';

const VERSION = 1;
/** How many earlier messages a message names. */
export const PREVIOUS = 16;

/** Why a message without operations was written. */
type LogKind = 'claim' | 'release' | 'end' | 'keep';

export interface LogHeader {
  /** Identifies this record among records with the same id. */
  readonly birth: string;
  readonly epoch: number;
  readonly owner: string | null;
  readonly kind?: LogKind;
  readonly ops: readonly LogOp[];
  /** The state after this message. Absent: the state of the message `base` and the operations since then. */
  readonly summary?: LogSummary;
  readonly base?: number;
  /** Sequences of earlier messages, newest first. */
  readonly previous: readonly number[];
}

export interface StoredLogMessage extends LogHeader {
  readonly seq: number;
  /** ms since 1970, the server's clock. */
  readonly at: number;
  /** The events of `ops`. */
  readonly data: Buffer;
}

/** The JSON line. Its one-letter fields are the stored format (docs/internals/nats.md). */
interface StoredHeader {
  /** Version of the format. */
  readonly v: number;
  /** `birth` of the record. */
  readonly b: string;
  /** Epoch of the writer. */
  readonly e: number;
  /** Owner that wrote it; `null` after a release or an end. */
  readonly o: string | null;
  /** Kind of a message without operations. */
  readonly k?: LogKind;
  /** Operations: appends and marks. */
  readonly a?: readonly LogOp[];
  /** State of the log after this message. */
  readonly s?: LogSummary;
  /** Sequence of the newest message with a state (`base`). */
  readonly t?: number;
  /** Sequences of earlier messages, as differences. */
  readonly q?: readonly number[];
}

const NEWLINE = 0x0a;

export function encodeLog(header: LogHeader, events: readonly Uint8Array[]): Buffer {
  const { birth, epoch, owner, kind, ops, summary, base, previous } = header;
  const stored: StoredHeader = {
    v: VERSION,
    b: birth,
    e: epoch,
    o: owner,
    ...(kind !== undefined && { k: kind }),
    ...(ops.length > 0 && { a: ops }),
    ...(summary !== undefined && { s: summary }),
    ...(base !== undefined && { t: base }),
    ...(previous.length > 0 && { q: differences(previous) }),
  };
  return Buffer.concat([Buffer.from(`${JSON.stringify(stored)}\n`), ...events]);
}

export function decodeLog(where: string, id: string, seq: number, at: number, body: Buffer): StoredLogMessage {
  const end = Math.max(0, body.indexOf(NEWLINE));
  const stored = storedJson<StoredHeader>(where, `the log of ${shownRecord(id)}`, body.subarray(0, end), VERSION);
  return {
    seq,
    at,
    birth: stored.b,
    epoch: stored.e,
    owner: stored.o,
    ...(stored.k !== undefined && { kind: stored.k }),
    ops: stored.a ?? [],
    ...(stored.s !== undefined && { summary: stored.s }),
    ...(stored.t !== undefined && { base: stored.t }),
    previous: sums(stored.q ?? []),
    data: body.subarray(end + 1),
  };
}

/** The first number, then the differences of the others to their predecessors, which have fewer digits. */
function differences(falling: readonly number[]): number[] {
  return falling.map((seq, n) => (n === 0 ? seq : (falling[n - 1] ?? 0) - seq));
}

function sums(differences: readonly number[]): number[] {
  let seq = 0;
  return differences.map((difference, n) => (seq = n === 0 ? difference : seq - difference));
}
