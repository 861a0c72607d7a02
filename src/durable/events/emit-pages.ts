/** Reads the emits so that no subscription is missed, and events are in the order in which they were emitted. */
import type { StoredRecord } from '../../stores/store.ts';
import { AFTER_NEWS, type EventStore, isNews, storedUs, tagOf } from './event-store.ts';

const PAGE = 1_000;
/** What is read at once. An outbox with more events has the order of the clocks of the instances beyond this. */
const MOST = 20_000;
const MOST_CHARACTERS = 16_777_216;

export interface EmitPage {
  readonly news: readonly StoredRecord[];
  /** In the order in which they were emitted. */
  readonly events: readonly StoredRecord[];
  /** Nothing else was there. */
  readonly isWhole: boolean;
}

export class EmitPages {
  readonly #store: EventStore;

  constructor(store: EventStore) {
    this.#store = store;
  }

  /**
   * News are of the same moment as the events, or of a later one: what a client heard about its subscription before an
   * event was emitted is among them. `isSkipped`: of an id that is left out.
   */
  async read(isSkipped: (id: string) => boolean): Promise<EmitPage> {
    const list = (after?: string) => this.#store.lasting(() => this.#store.emits.list(PAGE, after));
    const first = await list();
    if (first.nextCursor === undefined) return pageOf(first.records, isSkipped, true);
    const events = first.records.filter((record) => !isNews(record));
    let cursor: string | undefined = events.length > 0 ? first.nextCursor : AFTER_NEWS;
    let characters = 0;
    while (cursor !== undefined && events.length < MOST && characters < MOST_CHARACTERS) {
      const page = await list(cursor);
      for (const record of page.records) {
        events.push(record);
        characters += record.body.length;
      }
      cursor = page.nextCursor;
    }
    const { records: again, nextCursor } = await list();
    const news = again.filter(isNews);
    // More news than a page has: the events wait for the next round.
    const isAll = news.length < again.length || nextCursor === undefined;
    return pageOf(isAll ? [...news, ...events] : news, isSkipped, isAll && cursor === undefined);
  }
}

function pageOf(
  records: readonly StoredRecord[],
  isSkipped: (id: string) => boolean,
  isWhole: boolean,
): EmitPage {
  const fresh = records.filter(({ id }) => !isSkipped(id));
  const events = inOrder(fresh.filter((record) => !isNews(record)));
  return { news: fresh.filter(isNews), events, isWhole };
}

/** What an instance knows of the clock of a store that answers slowly is late by so much. */
const LATE_US = 100_000;

/** The clock of an instance tells more exactly, unless it is off. */
function timeOf(record: StoredRecord): number {
  const [stored, created] = [storedUs(record), record.createdAt * 1_000];
  return Math.abs(created - stored) < LATE_US ? created : stored;
}

/**
 * Those of one instance are in the order of its calls. Those of several follow the clocks of the instances where these
 * agree with the clock of the store to 0.1 s, else the clock of the store as each instance knows it.
 */
function inOrder(events: readonly StoredRecord[]): readonly StoredRecord[] {
  const next = new Map<string, number>();
  const times = new Map<StoredRecord, number>();
  // A try may have stored an emit late: it counts from when a later one of its instance was stored.
  for (const record of events.toSorted((a, b) => (a.id < b.id ? 1 : -1))) {
    const tag = tagOf(record);
    const time = Math.min(next.get(tag) ?? Infinity, timeOf(record));
    next.set(tag, time);
    times.set(record, time);
  }
  const place = (record: StoredRecord): number => times.get(record) ?? 0;
  return [...times.keys()].sort((a, b) => place(a) - place(b) || (a.id < b.id ? -1 : 1));
}
