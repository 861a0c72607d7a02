/** Where a session was, from the events of its timeline: the line on its page. */
import type { EventRow, TimelineRow } from '../../src/dashboard/wire-pages.ts';

export interface Place {
  /** ms since 1970. The last place has no end. */
  readonly from: number;
  readonly to: number | undefined;
  /** `undefined`: in the store. */
  readonly instance: string | undefined;
  /** How it left: the word at the end of this part of the line. */
  readonly left: string;
  readonly isLost: boolean;
}

const LIVE: ReadonlySet<EventRow['what']> = new Set(['opened', 'woken', 'takenOver', 'migrated', 'reclaimed']);
const LEAVES: Partial<Record<EventRow['what'], string>> = {
  hibernated: 'hibernated',
  released: 'drained',
  fenced: 'moved',
  ended: 'ended',
};

/** `owner`: who has it now, where that is known. `since`: when it was opened. */
export function placesOf(
  timeline: readonly TimelineRow[],
  owner: string | undefined,
  since: number | undefined,
): Place[] {
  const rows = timeline.filter((row): row is EventRow => row.kind === 'event').toSorted((a, b) => a.at - b.at);
  const places: Place[] = [];
  const leave = (at: number, left: string, isLost = false) => {
    const last = places.pop();
    if (last !== undefined) places.push({ ...last, to: at, left, isLost });
  };
  const enter = (at: number, instance: string | undefined) =>
    places.push({ from: at, to: undefined, instance, left: '', isLost: false });
  for (const row of rows) {
    const last = places.at(-1);
    if (LIVE.has(row.what)) {
      // The first event that is known names the owner before it, which had it until then.
      if (last === undefined && row.from !== undefined) enter(since ?? row.at - 60_000, row.from);
      const before = places.at(-1);
      if (before !== undefined && before.instance === row.instance) continue;
      // A takeover that names the owner before follows its death.
      const hasDied = row.what === 'takenOver' && row.from !== undefined;
      if (before?.instance !== undefined) leave(row.at, hasDied ? 'gone' : 'moved', hasDied);
      else leave(row.at, '');
      enter(row.at, row.instance);
      continue;
    }
    const word = LEAVES[row.what];
    if (word === undefined) continue;
    if (last === undefined && row.instance !== undefined) enter(since ?? row.at, row.instance);
    if (places.at(-1)?.instance === undefined && row.what !== 'ended') continue;
    leave(row.at, word);
    if (row.what !== 'ended' && row.what !== 'fenced') enter(row.at, undefined);
  }
  if (places.length === 0 && since !== undefined) enter(since, owner);
  return places;
}
