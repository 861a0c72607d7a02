/**
 * What a replay returns. Which events retention keeps is computed from the later events of the session and never
 * stored. So the result is exact even while old appends still wait to be deleted.
 */
import type { EventRetention } from '../../types.ts';
import type { LoggedEvent, ReplayOutcome } from '../store.ts';

/** One append to a stream. `later` events with `laterBytes` came after it in the session; `young`: within `ttlMs`. */
export interface StoredAppend {
  readonly from: number;
  readonly young: boolean;
  readonly later: number;
  readonly laterBytes: number;
  readonly events: readonly string[];
}

/** `appends`: of one stream, newest first. `openNext`: the next offset of the stream if it is not complete. */
export function replayOutcome(
  appends: Iterable<StoredAppend>,
  retention: EventRetention,
  openNext: number | undefined,
  after: number,
): ReplayOutcome {
  const kept = keptEvents(appends, retention);
  const oldest = kept[0]?.offset;
  if (oldest === undefined && openNext === undefined) return { found: false, why: 'unknown' };
  const next = openNext ?? (kept.at(-1)?.offset ?? 0) + 1;
  const first = oldest ?? next;
  if (first > after + 1) return { found: false, why: 'gap', first };
  return { found: true, events: kept.filter(({ offset }) => offset > after), next, complete: openNext === undefined };
}

/** The kept events of the stream, oldest first. When an event is dropped, all older ones are dropped too. */
function keptEvents(
  appends: Iterable<StoredAppend>,
  { events: most, bytes: mostBytes }: EventRetention,
): LoggedEvent[] {
  const kept: LoggedEvent[] = [];
  for (const { from, young, later, laterBytes, events } of appends) {
    if (!young) break;
    let [count, bytes] = [later, laterBytes];
    for (let i = events.length - 1; i >= 0; i--) {
      const data = events[i] ?? '';
      if (count >= most || bytes >= mostBytes) return kept.reverse();
      count += 1;
      bytes += Buffer.byteLength(data);
      kept.push({ offset: from + i, data });
    }
  }
  return kept.reverse();
}
