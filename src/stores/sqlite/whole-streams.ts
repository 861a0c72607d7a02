/**
 * Streams that begin and end with one append, as those of calls that are answered at once: all of a group in one statement,
 * which judges the fence of each and that its stream is new. Where it does not take all of them it takes none, and each is
 * judged step by step.
 */
import { type Bundle, bundle, bundlePlace } from './bundle-rows.ts';
import type { Value } from './libsql.ts';
import { eventRows } from './event-rows.ts';
import type { Ledger } from './ledger.ts';
import type { PendingAppend } from './pending-append.ts';
import { addBundle, addWhole, SQL } from './statements.ts';

/** Rows in one statement; each number up to it is a statement of its own. */
const MOST = 16;
/** Streams in one row. */
const BUNDLED = 32;

export class WholeStreams {
  readonly #ledger: Ledger;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  /** How many of the appends from `first` on are in the file now; 0: the first is to be judged step by step. */
  add(appends: readonly PendingAppend[], first: number): number {
    return this.#addBundle(bundle(appends, first, BUNDLED)) || this.#addRows(appends, first);
  }

  #addBundle(bundle: Bundle | undefined): number {
    if (bundle === undefined) return 0;
    const { sessionId, fence, place, streams, events, bytes, data } = bundle;
    const fenced = this.#ledger.fence(sessionId, fence);
    const values = [...fenced, place.name, place.number, events, bytes, data, ...streams];
    const { changes } = this.#ledger.database.change(addBundle(streams.length), values);
    return changes === 1 ? streams.length : 0;
  }

  #addRows(appends: readonly PendingAppend[], first: number): number {
    const { database, deployment, clock } = this.#ledger;
    const values: Value[] = [deployment, clock.wall()];
    // A statement does not see the rows that it adds itself.
    const streams = new Set<string>();
    for (let n = first; n < appends.length && streams.size < MOST; n++) {
      const append = appends[n];
      const key = append === undefined ? '' : `${append.sessionId}\n${append.stream}`;
      if (append === undefined || !isWhole(append) || streams.has(key)) break;
      const [row, more] = eventRows(0, append.events);
      if (row === undefined || more !== undefined) break;
      const { sessionId, fence, stream } = append;
      const { name, number } = bundlePlace(stream);
      values.push(sessionId, fence.epoch, fence.owner, stream, name, number, row.n, row.bytes, row.data);
      streams.add(key);
    }
    const count = streams.size;
    if (count === 0) return 0;
    const { changes, lastInsertRowid } = database.change(addWhole(count), values);
    if (changes === count) return count;
    if (changes > 0) database.run(SQL.takeBack, [lastInsertRowid - changes]);
    return 0;
  }
}

const isWhole = ({ from, complete, mark, unmark }: PendingAppend): boolean =>
  from === 0 && complete && mark === undefined && unmark === undefined;
