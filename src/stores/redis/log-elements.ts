/** The messages of one append form one element of the log. */
import { isListed, packEvents, unpackEvents } from '../shared/packed-events.ts';
import type { StoredAppend } from '../shared/replay-outcome.ts';

export interface Packed {
  readonly text: string;
  /** The size of the messages; empty: the length of the text without its separators. */
  readonly bytes: string;
}

export function pack(events: readonly string[]): Packed {
  const text = packEvents(events);
  if (!isListed(text)) return { text, bytes: '' };
  return { text, bytes: String(events.reduce((sum, data) => sum + Buffer.byteLength(data), 0)) };
}

/** Values per element in the answer of `REPLAY`, newest element first. */
const MEMBERS = 6;

/** The elements in the answer of `REPLAY`, newest first. */
export function* storedAppends(flat: readonly string[], ttlMs: number, now: number): Iterable<StoredAppend> {
  for (let n = 0; n < flat.length; n += MEMBERS) {
    const [from = '', count = '', at = '', later = '', laterBytes = '', text = ''] = flat.slice(n, n + MEMBERS);
    yield {
      from: Number(from),
      young: Number(at) + ttlMs > now,
      later: Number(later),
      laterBytes: Number(laterBytes),
      events: unpackEvents(text, Number(count)),
    };
  }
}
