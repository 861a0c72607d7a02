/**
 * The scan of the store: what the list filters, sorts and counts. Rows that are seen are live; the order and the counts
 * are those of the scan, and the page says how old it is.
 */
import { batch, effect, signal, untracked } from '@preact/signals';
import type { ChangedRow, Rows, SessionPage, SessionRow } from '../../src/dashboard/wire-pages.ts';
import { get } from '../net/api.ts';
import { Stream } from '../net/stream.ts';

/** One scan reads so many; "Scan on" reads as many more. */
const MOST = 20_000;

export interface Scan {
  /** When it began, by the clock of the server. */
  readonly at: number;
  readonly tookMs: number;
  readonly rows: readonly SessionRow[];
  /** The store has more. */
  readonly cursor: string | undefined;
}

export const scan = signal<Scan | undefined>(undefined);
/** How many records the running scan has read; `undefined`: none runs. */
export const scanning = signal<number | undefined>(undefined);
export const scanError = signal<string | undefined>(undefined);
/** Counts messages of live rows: a row that reads it is drawn again. */
export const liveTick = signal(0);

const live = new Map<string, ChangedRow>();
/** Sessions that the scan did not have: they were opened later, or it did not come so far. */
const news = new Set<string>();
export const opened = signal(0);

/** The newest values of a row. Only a live one has calls and streams. */
export function liveRow(scanned: SessionRow): SessionRow {
  const newest = live.get(scanned.hash);
  if (newest === undefined) return scanned;
  const row = { ...scanned, ...newest };
  if (row.status === 'live') return row;
  const { calls: _calls, getStream: _get, posts: _posts, ...kept } = row;
  return kept;
}

let known: ReadonlySet<string> = new Set();
let running: AbortController | undefined;

async function read(from: Scan | undefined): Promise<void> {
  running?.abort();
  const abort = new AbortController();
  running = abort;
  const begun = performance.now();
  const rows = new Map(from?.rows.map((row) => [row.hash, row]));
  const limit = rows.size + MOST;
  let cursor = from?.cursor;
  let at: number | undefined = from?.at;
  scanning.value = rows.size;
  try {
    do {
      const query = cursor === undefined ? '' : `?cursor=${encodeURIComponent(cursor)}`;
      const page = await get<SessionPage>(`sessions${query}`, abort.signal);
      at ??= page.at;
      for (const row of page.sessions) rows.set(row.hash, row);
      cursor = page.nextCursor;
      scanning.value = rows.size;
    } while (cursor !== undefined && rows.size < limit);
    batch(() => {
      if (from === undefined) keepLive(rows);
      known = new Set(rows.keys());
      news.clear();
      opened.value = 0;
      scan.value = { at: at ?? Date.now(), tookMs: performance.now() - begun, rows: [...rows.values()], cursor };
      scanError.value = undefined;
    });
  } catch (error) {
    if (abort.signal.aborted) return;
    // The rows of the last scan stay.
    scanError.value = error instanceof Error ? error.message : String(error);
  } finally {
    if (running === abort) {
      running = undefined;
      scanning.value = undefined;
    }
  }
}

/** A scan has the calls and streams of the sessions that are live at its instance; those of the others stay known. */
function keepLive(scanned: ReadonlyMap<string, SessionRow>): void {
  for (const [hash, row] of live) {
    const now = scanned.get(hash);
    const isSame = now?.status === 'live' && row.status === 'live' && now.owner === row.owner;
    if (!isSame || now.exact === true) live.delete(hash);
  }
}

export const rescan = (): Promise<void> => read(undefined);
export const scanOn = (): Promise<void> => read(scan.peek());

/** Instances report one after the other: the word of the owner before may come after that of the owner now. */
function isOld(row: ChangedRow): boolean {
  const newest = live.get(row.hash);
  return 'leftAt' in row && newest !== undefined && !('leftAt' in newest) && newest.activeAt > row.leftAt;
}

function take(rows: readonly ChangedRow[]): void {
  for (const row of rows) {
    if (known.has(row.hash)) {
      // What a row had while it was live is still its client, user and age.
      if (!isOld(row)) live.set(row.hash, 'leftAt' in row ? { ...live.get(row.hash), ...row } : row);
    } else if (row.status === 'ended') news.delete(row.hash);
    else if (row.status === 'live' && news.size < MOST) news.add(row.hash);
  }
  batch(() => {
    liveTick.value += 1;
    opened.value = news.size;
  });
}

/** Rows are followed while the list is open. A lost stream retries by itself; the banner speaks for both streams. */
export function followRows(isShown: () => boolean): () => void {
  const waiting = new Map<string, ChangedRow>();
  const flush = (): void => {
    // The first scan says which sessions there are.
    if (waiting.size === 0 || !isShown() || (scan.peek() === undefined && running !== undefined)) return;
    take([...waiting.values()]);
    waiting.clear();
  };
  const stream = new Stream('stream?rows', {
    event(type, data) {
      if (type !== 'rows') return;
      for (const row of (data as Rows).rows)
        if (waiting.size < MOST || waiting.has(row.hash)) waiting.set(row.hash, row);
      flush();
    },
    lost() {},
    refused() {},
  });
  const stop = effect(() => {
    if (scan.value !== undefined) untracked(flush);
  });
  stream.open();
  return () => {
    stop();
    stream.close();
  };
}
