/** What the lists of sessions, tasks and handles share: the search, pages of 100, and one record while it is loaded. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import type { RecordRows } from '../../wire.ts';
import { count } from '../format.ts';
import { go, type Polled, usePolled, type View } from '../state.ts';
import { type Column, Head, Problem, Table } from '../ui.tsx';

/** A search looks at up to 10,000 records. */
const SEARCH_MS = 10_000;

interface ListProps<Row> {
  readonly view: View;
  readonly title: string;
  readonly help: string;
  readonly query: string;
  readonly columns: readonly Column<Row>[];
  readonly none: ComponentChildren;
}

export function RecordList<Row extends { readonly ref: string }>(props: ListProps<Row>) {
  const { view, title, help, query, columns, none } = props;
  /** The cursors of the pages before and of this one. */
  const [cursors, setCursors] = useState<readonly string[]>(['']);
  const path = `${view}?cursor=${encodeURIComponent(cursors.at(-1) ?? '')}`;
  const { value, failure } = usePolled<RecordRows<Row>>(
    path,
    query === '' ? undefined : SEARCH_MS,
    query,
  );
  const page = value === 'unknown' ? undefined : value;
  const isNone = page?.rows.length === 0 && cursors.length === 1 && query === '';
  const text =
    page?.scanned === page?.rows.length ? '' : ` of ${count(page?.scanned)} that were searched`;
  return (
    <>
      <Head title={title}>
        <form
          role="search"
          onSubmit={(event) => {
            event.preventDefault();
            const text = new FormData(event.currentTarget).get('q');
            go(`#/${view}${text === '' ? '' : `?q=${encodeURIComponent(String(text).trim())}`}`);
          }}
        >
          <label for="search">{help}</label>
          <input
            id="search"
            type="search"
            name="q"
            defaultValue={query}
            autocomplete="off"
            spellcheck={false}
          />
          <button type="submit">Search</button>
        </form>
      </Head>
      <Problem text={failure} isOld={page !== undefined} />
      {page === undefined && failure === undefined && <p class="none">Reads the store…</p>}
      {page !== undefined && page.unreadable.length > 0 && (
        <p class="banner bad">
          Damaged in the store, and left as they are: {page.unreadable.join(', ')}. The log says
          why.
        </p>
      )}
      {isNone && none}
      {page !== undefined && !isNone && (
        <>
          <Table
            label={title}
            columns={columns}
            rows={page.rows}
            keyOf={({ ref }) => ref}
            none="Nothing fits."
          />
          <nav class="pager" aria-label="Pages">
            <span>
              Page {cursors.length}: {count(page.rows.length)}
              {text}
            </span>
            <button
              type="button"
              disabled={cursors.length === 1}
              onClick={() => setCursors(cursors.slice(0, -1))}
            >
              Previous
            </button>
            <button
              type="button"
              disabled={page.nextCursor === undefined}
              onClick={() => setCursors([...cursors, page.nextCursor ?? ''])}
            >
              Next
            </button>
          </nav>
        </>
      )}
    </>
  );
}

export const ofUser = (name: string | undefined): string =>
  name === undefined ? 'without a user' : `of ${name}`;

/** The keys of a state, with the sizes of their values. */
export function StateTable({
  label,
  of: sizes,
}: {
  label: string;
  of: Readonly<Record<string, number>>;
}) {
  return (
    <Table
      label={label}
      columns={[
        { label: 'Key', of: ([key]: [string, number]) => <code>{key}</code> },
        { label: 'Bytes', number: ([, size]) => size, of: ([, size]) => count(size) },
      ]}
      rows={Object.entries(sizes)}
      keyOf={([key]) => key}
      none="It has no values. Values themselves are never shown."
    />
  );
}

/** `undefined`: `Waiting` shows what is there instead. */
export const loaded = <T,>({ value }: Polled<T>): T | undefined =>
  value === 'unknown' ? undefined : value;

export function Waiting<T>({ of: { value, failure }, what }: { of: Polled<T>; what: string }) {
  if (value === 'unknown')
    return (
      <Head title={`The store does not know this ${what}.`}>
        <p>
          It was never there, or it is forgotten. <a href={`#/${what}s`}>All {what}s</a>
        </p>
      </Head>
    );
  return (
    <>
      <Problem text={failure} isOld={value !== undefined} />
      {value === undefined && failure === undefined && <p class="none">Reads the store…</p>}
    </>
  );
}
