/**
 * The messages of one append form one element of the log. What retention keeps is computed from the later elements and
 * never stored. So the result is exact even while old elements still wait to be deleted.
 */
import type { EventRetention } from '../../types.ts';
import type { LoggedEvent } from '../store.ts';

/** The record separator: neither JSON text nor a priming event contains it. */
const SEPARATOR = '\u001e';
/** Starts an element whose messages are not JSON text: a JSON list of them follows. */
const LISTED = '\u001f';

export interface Packed {
  readonly text: string;
  /** The size of the messages; empty: the length of the text without its separators. */
  readonly bytes: string;
}

export function pack(events: readonly string[]): Packed {
  const text = events.length === 1 ? (events[0] ?? '') : events.join(SEPARATOR);
  if (!text.startsWith(LISTED) && !events.some((data) => data.includes(SEPARATOR))) return { text, bytes: '' };
  const bytes = events.reduce((sum, data) => sum + Buffer.byteLength(data), 0);
  return { text: LISTED + JSON.stringify(events), bytes: String(bytes) };
}

function unpack(text: string, count: number): readonly string[] {
  if (text.startsWith(LISTED)) return JSON.parse(text.slice(1)) as string[];
  return count === 1 ? [text] : text.split(SEPARATOR);
}

/** Values per element in the answer of `REPLAY`, newest element first. */
const MEMBERS = 6;

/** The events that are kept, oldest first. Once an event is dropped, all older ones are dropped too. */
export function keptEvents(
  flat: readonly string[],
  { ttlMs, events: most, bytes: mostBytes }: EventRetention,
  now: number,
): LoggedEvent[] {
  const kept: LoggedEvent[] = [];
  for (let n = 0; n < flat.length; n += MEMBERS) {
    const [from = '', counted = '', at = '', later = '', laterBytes = '', text = ''] = flat.slice(n, n + MEMBERS);
    if (Number(at) + ttlMs <= now) break;
    const texts = unpack(text, Number(counted));
    let [count, bytes] = [Number(later), Number(laterBytes)];
    for (let i = Number(counted) - 1; i >= 0; i--) {
      const data = texts[i] ?? '';
      if (count >= most || bytes >= mostBytes) return kept.reverse();
      count += 1;
      bytes += Buffer.byteLength(data);
      kept.push({ offset: Number(from) + i, data });
    }
  }
  return kept.reverse();
}
