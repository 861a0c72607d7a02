/** The columns of a list: what they show, and by what they sort. */
import type { Signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';

export interface Column<Row> {
  readonly label: string;
  /** By this the list is sorted. */
  readonly key: (row: Row) => string | number;
  readonly class: string | ((row: Row) => string);
  readonly cell: (row: Row) => ComponentChildren;
  readonly title?: (row: Row) => string | undefined;
  /** Sorts with the largest first. */
  readonly down?: true;
}

export interface Sort {
  readonly column: number;
  readonly down: boolean;
}

/** Equal ones: the newest first. */
export function sortedBy<Row extends { readonly createdAt: number }>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  { column, down }: Sort,
): Row[] {
  const key = columns[column]?.key ?? (() => 0);
  const keyed = rows.map((row) => ({ row, key: key(row) }));
  const sign = down ? -1 : 1;
  keyed.sort((a, b) => (a.key < b.key ? -sign : a.key > b.key ? sign : b.row.createdAt - a.row.createdAt));
  return keyed.map(({ row }) => row);
}

export function ListHead<Row>({ columns, sort }: { columns: readonly Column<Row>[]; sort: Signal<Sort> }) {
  const { column, down } = sort.value;
  return (
    <div role="rowgroup" class="vheadbox">
      <div class="vhead" role="row">
        {columns.map(({ label, class: name, down: startsDown }, k) => (
          <span
            key={label}
            role="columnheader"
            class={typeof name === 'string' && /\br\b/.test(name) ? name : ''}
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

export function ListCells<Row>({ columns, row }: { columns: readonly Column<Row>[]; row: Row }) {
  return (
    <>
      {columns.map(({ label, class: name, cell, title }) => (
        <span key={label} role="gridcell" class={typeof name === 'string' ? name : name(row)} title={title?.(row)}>
          {cell(row)}
        </span>
      ))}
    </>
  );
}
