/** Sessions: where is this client's session, and which are odd? */
import { computed, signal } from '@preact/signals';
import { useEffect, useLayoutEffect } from 'preact/hooks';
import type { SessionRow } from '../../src/dashboard/wire-pages.ts';
import { count, ms } from '../format.ts';
import { ListCells, ListHead, type Sort, sortedBy } from '../lists/columns.tsx';
import { Facets, facetsOf } from '../lists/facets.tsx';
import { FilterField } from '../lists/filter-field.tsx';
import { toggled } from '../lists/filter.ts';
import { ScanCount } from '../lists/scan-count.tsx';
import { VirtualList } from '../lists/virtual-list.tsx';
import { connection, nameOf, now, paused } from '../state/model.ts';
import { go, replaceRoute, route } from '../state/route.ts';
import { Icon } from '../ui/icon.tsx';
import { When } from '../ui/when.tsx';
import { storeTotal, total } from '../fleet/sums.ts';
import { ClientsView } from './clients.tsx';
import { Eras } from './eras.tsx';
import { COLUMNS, FIRST_SORT } from './columns.tsx';
import { FACETS } from './facets.ts';
import { type Filtered, parseFilter } from './filter.ts';
import { followRows, liveRow, liveTick, opened, rescan, scan, scanError, scanning, scanOn } from './scan.ts';

const query = signal('');
const sort = signal<Sort>(FIRST_SORT);

const withOwner = (row: SessionRow): Filtered => ({
  ...row,
  ownerName: row.status === 'live' ? nameOf(row.owner) : undefined,
});

/** What the filter leaves of the scan. It reads no live value: rows do not move under the pointer. */
const found = computed(() => {
  const { rows = [], at = 0 } = scan.value ?? {};
  const { fits, unknown } = parseFilter(query.value, at);
  const fitting = rows.map(withOwner).filter(fits);
  return { rows: fitting, unknown, facets: facetsOf(fitting, FACETS) };
});

const sorted = computed(() =>
  sortedBy(
    found.value.rows.map(({ ownerName: _name, ...row }) => row as SessionRow),
    COLUMNS,
    sort.value,
  ),
);

function setQuery(text: string): void {
  query.value = text;
  const trimmed = text.trim();
  replaceRoute(trimmed === '' ? '#/sessions' : `#/sessions?q=${encodeURIComponent(trimmed)}`);
}

/** Reads the live values of its row: twice a second only the rows in sight are drawn again. */
function Cells({ row: scanned }: { row: SessionRow }) {
  void liveTick.value;
  const row = liveRow(scanned);
  return (
    <>
      <ListCells columns={COLUMNS} row={row} />
      <span class="nc" aria-hidden="true">
        {row.userName ?? 'no user'}, {row.status === 'live' ? (nameOf(row.owner) ?? 'live') : 'in the store'}
      </span>
    </>
  );
}

function ScanLine() {
  const { value } = scan;
  const { rows, unknown } = found.value;
  const all = (total('sessions') ?? 0) + (storeTotal() ?? 0);
  return (
    <div class="scan" role="status">
      {value !== undefined && <ScanCount shown={rows.length} of={value.rows.length} unknown={unknown} />}
      {value !== undefined && (
        <span>
          {value.cursor === undefined
            ? 'all scanned '
            : `${count(value.rows.length)} of about ${count(Math.max(all, value.rows.length))} scanned `}
          <When at={value.at} ago /> in {ms(value.tookMs)}; order and counts are of then
          {opened.value > 0 && `; ${count(opened.value)} more since`}
        </span>
      )}
      {scanning.value !== undefined && <span class="dim">scans the store: {count(scanning.value)} read</span>}
      {scanError.value !== undefined && (
        <span class="c-bad">
          <Icon name="gone" /> The scan failed: {scanError.value}
        </span>
      )}
      {value?.cursor !== undefined && (
        <button class="btn quiet" type="button" onClick={() => void scanOn()}>
          Scan on
        </button>
      )}
      <button class="btn quiet" type="button" id="rescan" onClick={() => void rescan()}>
        Scan again <kbd>u</kbd>
      </button>
    </div>
  );
}

const open = ({ hash }: SessionRow): void => go(`#/sessions/${hash}`);

function Empty() {
  if (scan.value === undefined && scanError.value === undefined) return <p class="none">Reads the store…</p>;
  return (
    <div role="row">
      <div class="none" role="gridcell">
        {(scan.value?.rows.length ?? 0) > 0 ? (
          <>
            No session fits.{' '}
            <button class="btn" type="button" onClick={() => setQuery('')}>
              Clear the filter
            </button>
          </>
        ) : (
          'No session yet. A client of a 2025 revision opens one with initialize.'
        )}
      </div>
    </div>
  );
}

function List() {
  useEffect(() => {
    if (scan.peek() === undefined || now.peek() - (scan.peek()?.at ?? 0) > 60_000) void rescan();
    return followRows(() => !paused.peek() && !document.hidden);
  }, []);
  // Back after a lost connection: what was scanned may be long ago.
  const isLive = connection.value.state === 'live';
  useEffect(() => {
    if (isLive && scanError.peek() !== undefined) void rescan();
  }, [isLive]);
  useLayoutEffect(() => {
    document.body.classList.add('tall');
    return () => document.body.classList.remove('tall');
  }, []);
  const q = route.value.query.get('q') ?? '';
  useEffect(() => {
    if (q !== query.peek().trim()) query.value = q;
  }, [q]);
  return (
    <div class="list">
      <Facets facets={found.value.facets} query={query.value} choose={(term) => setQuery(toggled(query.value, term))} />
      <div class="col">
        <div class="listbar">
          <h1 class="sr">Sessions</h1>
          <Eras on="sessions" />
          <FilterField
            label="Filter sessions"
            placeholder="client:cursor owner:web-2 idle>10m, or any word"
            value={query.value}
            set={setQuery}
          />
        </div>
        <ScanLine />
        <VirtualList
          label="Sessions"
          items={sorted.value}
          columns={COLUMNS.length}
          listed={sorted.value}
          head={<ListHead columns={COLUMNS} sort={sort} />}
          row={(row) => <Cells row={row} />}
          empty={<Empty />}
          open={open}
        />
      </div>
    </div>
  );
}

export const SessionsView = () => (route.value.query.get('era') === '2026' ? <ClientsView /> : <List />);
