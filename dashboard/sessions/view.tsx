/** Sessions: where is this client's session, and which are odd? */
import { computed, signal } from '@preact/signals';
import { useEffect, useLayoutEffect } from 'preact/hooks';
import type { SessionRow } from '../../src/dashboard/wire-pages.ts';
import { count, ms } from '../format.ts';
import { connection, nameOf, now, paused } from '../state/model.ts';
import { go, replaceRoute, route } from '../state/route.ts';
import { Icon } from '../ui/icon.tsx';
import { When } from '../ui/when.tsx';
import { storeTotal, total } from '../fleet/sums.ts';
import { ClientsView } from './clients.tsx';
import { Eras } from './eras.tsx';
import { COLUMNS, FIRST_SORT } from './columns.tsx';
import { Facets, facetsOf } from './facets.tsx';
import { type Filtered, parseFilter, toggled } from './filter.ts';
import { followRows, liveRow, liveTick, opened, rescan, scan, scanError, scanning, scanOn } from './scan.ts';
import { VirtualList } from './virtual-list.tsx';

const query = signal('');
const sort = signal(FIRST_SORT);

const withOwner = (row: SessionRow): Filtered => ({
  ...row,
  ownerName: row.status === 'live' ? nameOf(row.owner) : undefined,
});

/** What the filter leaves of the scan. It reads no live value: rows do not move under the pointer. */
const found = computed(() => {
  const { rows = [], at = 0 } = scan.value ?? {};
  const { fits, unknown } = parseFilter(query.value, at);
  const fitting = rows.map(withOwner).filter(fits);
  return { rows: fitting, unknown, facets: facetsOf(fitting) };
});

const sorted = computed(() => {
  const { column, down } = sort.value;
  const key = COLUMNS[column]?.key ?? (() => 0);
  const keyed = found.value.rows.map(({ ownerName: _name, ...row }) => ({
    row: row as SessionRow,
    key: key(row as SessionRow),
  }));
  const sign = down ? -1 : 1;
  keyed.sort((a, b) => (a.key < b.key ? -sign : a.key > b.key ? sign : b.row.createdAt - a.row.createdAt));
  return keyed.map(({ row }) => row);
});

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
      {COLUMNS.map(({ label, class: name, cell, title }) => (
        <span key={label} role="gridcell" class={name(row)} title={title?.(row)}>
          {cell(row)}
        </span>
      ))}
      <span class="nc" aria-hidden="true">
        {row.userName ?? 'no user'}, {row.status === 'live' ? (nameOf(row.owner) ?? 'live') : 'in the store'}
      </span>
    </>
  );
}

function Head() {
  const { column, down } = sort.value;
  return (
    <div role="rowgroup" class="vheadbox">
      <div class="vhead" role="row">
        {COLUMNS.map(({ label, class: name, down: startsDown }, k) => (
          <span
            key={label}
            role="columnheader"
            class={/\br\b/.test(name(NO_ROW)) ? name(NO_ROW) : ''}
            aria-sort={k === column ? (down ? 'descending' : 'ascending') : undefined}
          >
            <button
              type="button"
              onClick={() => (sort.value = { column: k, down: k === column ? !down : startsDown === true })}
            >
              {label}
              {k === column && (down ? ' ↓' : ' ↑')}
            </button>
          </span>
        ))}
      </div>
    </div>
  );
}

const NO_ROW: SessionRow = {
  hash: '',
  status: 'live',
  clientInfo: { name: '', version: '' },
  protocolVersion: '',
  createdAt: 0,
  activeAt: 0,
};

function ScanLine() {
  const { value } = scan;
  const { rows, unknown } = found.value;
  const all = (total('sessions') ?? 0) + (storeTotal() ?? 0);
  return (
    <div class="scan" role="status">
      {value !== undefined && (
        <span>
          <b>
            {count(rows.length)} of {count(value.rows.length)}
          </b>
          {unknown.length > 0 && <span class="c-bad">, unknown: {unknown.join(' ')}</span>}
        </span>
      )}
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
          <input
            class="field"
            type="search"
            id="filter"
            value={query.value}
            placeholder="client:cursor owner:web-2 idle>10m, or any word"
            aria-label="Filter sessions"
            autocomplete="off"
            spellcheck={false}
            onInput={(event) => setQuery(event.currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key !== 'ArrowDown' && event.key !== 'Enter') return;
              event.preventDefault();
              document.querySelector<HTMLElement>('.vlist')?.focus();
            }}
          />
        </div>
        <ScanLine />
        <VirtualList
          label="Sessions"
          items={sorted.value}
          columns={COLUMNS.length}
          head={<Head />}
          row={(row) => <Cells row={row} />}
          empty={<Empty />}
          open={open}
        />
      </div>
    </div>
  );
}

export const SessionsView = () => (route.value.query.get('era') === '2026' ? <ClientsView /> : <List />);
