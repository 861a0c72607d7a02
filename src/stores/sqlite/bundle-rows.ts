/**
 * Streams of calls that are answered at once, several in one row: those of one session and turn whose names end in
 * consecutive numbers, each with a priming event and one more. A row of one begins at the `position` of its first number,
 * its `data` are the answers, and its `n` counts two events for each.
 *
 * Bundles of one name never overlap: the one that begins last at or before a number holds it, or none does.
 */
import type { Fence } from '../store.ts';
import { SEPARATOR, type ReplayRow } from './event-rows.ts';
import type { PendingAppend } from './pending-append.ts';

/** Of a priming event and an answer. */
const EVENTS = 2;

/** Begins the name under which bundles stand; no stream is called so. */
const MARK = '\u001f';

/**
 * Where a stream would stand in a bundle: a name ends in a number, base 36, after its first `x`. `''`: this one does not.
 */
export interface BundlePlace {
  readonly name: string;
  readonly number: number;
}

const NOWHERE: BundlePlace = { name: '', number: 0 };

export function bundlePlace(stream: string): BundlePlace {
  const after = stream.indexOf('x') + 1;
  const digits = stream.slice(after);
  const number = Number.parseInt(digits, 36);
  if (after === 0 || !Number.isSafeInteger(number) || number.toString(36) !== digits) return NOWHERE;
  return { name: MARK + stream.slice(0, after), number };
}

export interface Bundle {
  readonly sessionId: string;
  readonly fence: Fence;
  readonly place: BundlePlace;
  readonly streams: readonly string[];
  readonly events: number;
  readonly bytes: number;
  readonly data: string;
}

/** As many of the appends from `first` on as go into one row, at most `most`; `undefined`: not even two do. */
export function bundle(appends: readonly PendingAppend[], first: number, most: number): Bundle | undefined {
  const one = appends[first];
  if (one === undefined || answerOf(one) === undefined || first + 1 === appends.length) return undefined;
  const { sessionId, fence } = one;
  const place = bundlePlace(one.stream);
  if (place.name === '') return undefined;
  const name = place.name.slice(MARK.length);
  const streams: string[] = [];
  let [bytes, data] = [0, ''];
  for (let n = first; n < appends.length && streams.length < most; n++) {
    const append = appends[n];
    if (
      append === undefined ||
      append.sessionId !== sessionId ||
      append.stream !== name + (place.number + streams.length).toString(36)
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
  return { sessionId, fence, place, streams, events: streams.length * EVENTS, bytes, data };
}

/** What follows the priming event in a stream that is whole. */
function answerOf({ from, complete, events, mark, unmark }: PendingAppend): string | undefined {
  const [prime, answer] = events;
  const whole = from === 0 && complete && mark === undefined && unmark === undefined;
  if (!whole || prime !== '' || events.length !== EVENTS || answer === undefined || answer.includes(SEPARATOR))
    return undefined;
  return answer;
}

/** A stream of a bundle, as if it had a row of its own; nothing: it is none of its. */
export function unbundled([first, , at, later, laterBytes, data]: ReplayRow, number: number): readonly ReplayRow[] {
  const answers = data.split(SEPARATOR);
  const answer = answers[number - first];
  if (answer === undefined) return [];
  const after = answers.slice(number - first + 1);
  const afterBytes = after.reduce((sum, answer) => sum + Buffer.byteLength(answer), 0);
  return [[0, EVENTS, at, later + after.length * EVENTS, laterBytes + afterBytes, SEPARATOR + answer]];
}
