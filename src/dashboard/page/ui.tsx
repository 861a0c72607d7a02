/** Parts that several views have. */
import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { NONE, span } from './format.ts';
import { now } from './state.ts';

const SHOWN_MS = 3_500;
const words = signal('');
let timer: ReturnType<typeof setTimeout> | undefined;

/** A message that goes by itself. */
export function toast(text: string): void {
  words.value = text;
  clearTimeout(timer);
  timer = setTimeout(() => (words.value = ''), SHOWN_MS);
}

/** The region is always there: a screen reader reads what is put into it. */
export const Toast = () => (
  <div role="status">{words.value !== '' && <div class="toast">{words.value}</div>}</div>
);

async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toast('Copied');
  } catch {
    toast('The browser does not allow to copy. Select the text instead.');
  }
}

/** A text to copy. */
export const Code = ({ text }: { text: string }) => (
  <div class="code">
    <code>{text}</code>
    <button type="button" aria-label={`Copy ${text.slice(0, 60)}`} onClick={() => void copy(text)}>
      Copy
    </button>
  </div>
);

/** How long ago; the exact time on hover and in `datetime`. */
export function When({ at, suffix = ' ago' }: { at: number | undefined; suffix?: string }) {
  if (at === undefined) return <>{NONE}</>;
  const past = now.value - at;
  return (
    <time dateTime={new Date(at).toISOString()} title={new Date(at).toString()}>
      {past < 950 ? 'now' : span(past) + suffix}
    </time>
  );
}

/** A state is a shape and a word, so that nothing depends on colour alone. */
export const State = ({ name }: { name: string }) => (
  <span class="state" data-state={name}>
    {name.replace('_', ' ')}
  </span>
);

type Fact = readonly [name: string, value: ComponentChildren];

export function Facts({ of }: { of: readonly Fact[] }) {
  const known = of.filter(([, value]) => value !== undefined);
  return (
    <dl class="facts">
      {known.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

export interface Column<Row> {
  readonly label: string;
  readonly of: (row: Row) => ComponentChildren;
  /** A number: on the right, and rows can be sorted by it, the greatest first. */
  readonly number?: (row: Row) => number | undefined;
  /** Left out on a narrow screen. */
  readonly optional?: true;
}

interface TableProps<Row> {
  readonly label: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly keyOf: (row: Row) => string;
  readonly none?: string;
}

export function Table<Row>({ label, columns, rows, keyOf, none }: TableProps<Row>) {
  const [sort, setSort] = useState<string | undefined>(undefined);
  const by = columns.find((column) => column.label === sort)?.number;
  const shown =
    by === undefined ? rows : rows.toSorted((one, other) => (by(other) ?? -1) - (by(one) ?? -1));
  const classOf = ({ number, optional }: Column<Row>) =>
    [number === undefined ? '' : 'num', optional === true ? 'opt' : ''].join(' ').trim() ||
    undefined;
  if (rows.length === 0 && none !== undefined) return <p class="none">{none}</p>;
  return (
    <div class="wrap" role="region" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {columns.map((column) => (
              <th
                key={column.label}
                class={classOf(column)}
                scope="col"
                aria-sort={sort === column.label ? 'descending' : undefined}
              >
                {column.number === undefined ? (
                  column.label
                ) : (
                  <button
                    type="button"
                    class="sort"
                    onClick={() => setSort(sort === column.label ? undefined : column.label)}
                  >
                    {column.label}
                  </button>
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {shown.map((row) => (
            <tr key={keyOf(row)}>
              {columns.map((column) => (
                <td key={column.label} class={classOf(column)}>
                  {column.of(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** `title`: what has the focus of a screen reader when the view opens. */
export const Head = ({
  title,
  children,
}: {
  title: ComponentChildren;
  children?: ComponentChildren;
}) => (
  <header class="head">
    <h1>{title}</h1>
    {children}
  </header>
);

export const Problem = ({ text, isOld }: { text: string | undefined; isOld: boolean }) =>
  text === undefined ? null : (
    <p class="banner bad" role="status">
      {text} {isOld && 'What you see is older.'}
    </p>
  );
