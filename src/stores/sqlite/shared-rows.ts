/**
 * Reads rows of the log that hold several streams. Older builds (0.1.0) stored calls so that were answered in the turn
 * of their request: each stream has a priming event and an answer, and the names end in consecutive numbers. This
 * build writes no such rows. It reads them while retention keeps them, and while an older build beside it writes more.
 *
 * The `stream` of such a row is a marker character and the common beginning of the names. Its `position` is the first
 * number, its `data` are the answers, and its `n` is two for each stream. Rows of one name do not overlap: the last row
 * that begins at or before a number has that stream, or no row has it. No stream that this build opens has a name in
 * them, because an epoch has one owner and stream names contain the epoch.
 */
import { SEPARATOR } from '../shared/packed-events.ts';
import type { ReplayRow } from './event-rows.ts';

/** Events of each stream: a priming event and an answer. */
const EVENTS = 2;

/** Begins the `stream` of shared rows. No stream has such a name. */
const MARKER = '\u001f';

/** Where a shared row would have a stream. */
export interface SharedPosition {
  readonly name: string;
  readonly number: number;
}

/** A name fits if it ends in a base 36 number after its first `x`. */
export function sharedPosition(stream: string): SharedPosition | undefined {
  const after = stream.indexOf('x') + 1;
  const digits = stream.slice(after);
  const number = Number.parseInt(digits, 36);
  if (after === 0 || !Number.isSafeInteger(number) || number.toString(36) !== digits) return undefined;
  return { name: MARKER + stream.slice(0, after), number };
}

/** One stream of a shared row, in the form of an ordinary row; none if the row does not have this number. */
export function rowsOfShared([first, , at, later, laterBytes, data]: ReplayRow, number: number): readonly ReplayRow[] {
  const answers = data.split(SEPARATOR);
  const answer = answers[number - first];
  if (answer === undefined) return [];
  const after = answers.slice(number - first + 1);
  const afterBytes = after.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  return [[0, EVENTS, at, later + after.length * EVENTS, laterBytes + afterBytes, SEPARATOR + answer]];
}
