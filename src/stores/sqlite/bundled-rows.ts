/**
 * Several streams in one row of the log: calls of one session that are answered in the turn of their request. Each
 * stream has a priming event and an answer, and their names end in consecutive numbers. A row for each would cost twice
 * the CPU time (docs/performance.md).
 *
 * The `stream` of such a row is a marker character and the common beginning of the names. Its `position` is the first
 * number, its `data` are the answers, and its `n` is two for each stream. Bundles of one name do not overlap: the last
 * bundle that begins at or before a number has that stream, or no bundle has it.
 */
import type { Fence } from '../store.ts';
import { SEPARATOR, type ReplayRow } from './event-rows.ts';
import type { PendingAppend } from './pending-append.ts';

/** Events of each stream: a priming event and an answer. */
const EVENTS = 2;
/** Streams in one row. Each number up to it is a statement. */
const MAX_STREAMS = 32;

/** Begins the `stream` of bundled rows. No stream has such a name. */
const MARKER = '\u001f';

/** Where a bundled row would have a stream. `name` is empty if the stream's name does not fit. */
export interface BundlePosition {
  readonly name: string;
  readonly number: number;
}

const NO_POSITION: BundlePosition = { name: '', number: 0 };

/** A name fits if it ends in a base 36 number after its first `x`. */
export function bundlePosition(stream: string): BundlePosition {
  const after = stream.indexOf('x') + 1;
  const digits = stream.slice(after);
  const number = Number.parseInt(digits, 36);
  if (after === 0 || !Number.isSafeInteger(number) || number.toString(36) !== digits) return NO_POSITION;
  return { name: MARKER + stream.slice(0, after), number };
}

export interface Bundle {
  readonly sessionId: string;
  readonly fence: Fence;
  readonly position: BundlePosition;
  readonly streams: readonly string[];
  readonly events: number;
  readonly bytes: number;
  readonly data: string;
}

/** The appends from `first` on that fit into one row; `undefined` if fewer than two do. */
export function bundle(appends: readonly PendingAppend[], first: number): Bundle | undefined {
  const one = appends[first];
  if (one === undefined || answerOf(one) === undefined || first + 1 === appends.length) return undefined;
  const { sessionId, fence } = one;
  const position = bundlePosition(one.stream);
  if (position.name === '') return undefined;
  const name = position.name.slice(MARKER.length);
  const streams: string[] = [];
  let [bytes, data] = [0, ''];
  for (let n = first; n < appends.length && streams.length < MAX_STREAMS; n++) {
    const append = appends[n];
    if (
      append === undefined ||
      append.sessionId !== sessionId ||
      append.stream !== name + (position.number + streams.length).toString(36)
    )
      break;
    if (append.fence.epoch !== fence.epoch || append.fence.owner !== fence.owner) break;
    const answer = answerOf(append);
    if (answer === undefined) break;
    bytes += Buffer.byteLength(answer);
    data = streams.length === 0 ? answer : `${data}${SEPARATOR}${answer}`;
    streams.push(append.stream);
  }
  if (streams.length < 2) return undefined;
  return { sessionId, fence, position, streams, events: streams.length * EVENTS, bytes, data };
}

/** The answer of a stream that is complete with a priming event and an answer. */
function answerOf({ from, complete, events, mark, unmark }: PendingAppend): string | undefined {
  const [prime, answer] = events;
  const whole = from === 0 && complete && mark === undefined && unmark === undefined;
  if (!whole || prime !== '' || events.length !== EVENTS || answer === undefined || answer.includes(SEPARATOR))
    return undefined;
  return answer;
}

/** One stream of a bundled row, in the form of an ordinary row; none if the bundle does not have this number. */
export function unbundled([first, , at, later, laterBytes, data]: ReplayRow, number: number): readonly ReplayRow[] {
  const answers = data.split(SEPARATOR);
  const answer = answers[number - first];
  if (answer === undefined) return [];
  const after = answers.slice(number - first + 1);
  const afterBytes = after.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  return [[0, EVENTS, at, later + after.length * EVENTS, laterBytes + afterBytes, SEPARATOR + answer]];
}
