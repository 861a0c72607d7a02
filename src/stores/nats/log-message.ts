/**
 * A message of a session's log: one line of JSON, and after it the events, one after the other.
 *
 * Every message names the epoch and owner that wrote it, and continues the one before it by the expected sequence of its
 * subject. Besides what it adds it carries the state of the log after it, so that the next owner reads one message; a state
 * that is large is in every sixteenth only. And it names the messages before it, so that a replay finds them without a search.
 */
import { newerValue, unreadable } from './failures.ts';
import type { LogOp, LogSummary } from './log-state.ts';

const VERSION = 1;
/** A message names so many before it. */
export const PREVIOUS = 16;

/** Why a message was written that adds nothing. */
type LogKind = 'claim' | 'release' | 'end' | 'keep';

export interface LogHeader {
  /** Of this session under this id, and not of an earlier one. */
  readonly birth: string;
  readonly epoch: number;
  readonly owner: string | null;
  readonly kind?: LogKind;
  readonly ops: readonly LogOp[];
  /** The state after it; absent: that of the message `base`, and what those since then have added. */
  readonly summary?: LogSummary;
  readonly base?: number;
  /** Sequences of the messages before it, newest first. */
  readonly previous: readonly number[];
}

export interface LogMessage extends LogHeader {
  readonly seq: number;
  /** ms since 1970, the server's clock. */
  readonly at: number;
  /** The events of `ops`. */
  readonly data: Buffer;
}

interface Line {
  readonly v: number;
  readonly b: string;
  readonly e: number;
  readonly o: string | null;
  readonly k?: LogKind;
  readonly a?: readonly LogOp[];
  readonly s?: LogSummary;
  readonly t?: number;
  readonly q?: readonly number[];
}

const NEWLINE = 0x0a;

export function encodeLog(header: LogHeader, events: readonly Uint8Array[]): Buffer {
  const { birth, epoch, owner, kind, ops, summary, base, previous } = header;
  const line: Line = {
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
  return Buffer.concat([Buffer.from(`${JSON.stringify(line)}\n`), ...events]);
}

export function decodeLog(where: string, id: string, seq: number, at: number, body: Buffer): LogMessage {
  const what = `the log of session ${id}`;
  const end = body.indexOf(NEWLINE);
  let line: Line;
  try {
    line = JSON.parse(body.subarray(0, Math.max(0, end)).toString()) as Line;
  } catch (cause) {
    throw unreadable(where, what, cause);
  }
  if (typeof line.v !== 'number') throw unreadable(where, what);
  if (line.v > VERSION) throw newerValue(where, what, line.v, VERSION);
  return {
    seq,
    at,
    birth: line.b,
    epoch: line.e,
    owner: line.o,
    ...(line.k !== undefined && { kind: line.k }),
    ops: line.a ?? [],
    ...(line.s !== undefined && { summary: line.s }),
    ...(line.t !== undefined && { base: line.t }),
    previous: sums(line.q ?? []),
    data: body.subarray(end + 1),
  };
}

/** The first as it is, of the others how much lower they are than the one before: fewer digits. */
function differences(falling: readonly number[]): number[] {
  return falling.map((seq, n) => (n === 0 ? seq : (falling[n - 1] ?? 0) - seq));
}

function sums(differences: readonly number[]): number[] {
  let seq = 0;
  return differences.map((difference, n) => (seq = n === 0 ? difference : seq - difference));
}
