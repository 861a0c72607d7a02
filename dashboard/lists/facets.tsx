/** Counts of what a list shows. A facet is a term of its filter. */
import { count } from '../format.ts';
import { terms } from './filter.ts';

const MOST = 6;

export interface Described<Row> {
  readonly label: string;
  readonly key: string;
  readonly of: (row: Row) => string | undefined;
  readonly term: (row: Row) => string;
}

interface Value {
  readonly text: string | undefined;
  readonly term: string;
  times: number;
}

function valuesOf<Row>({ of, term }: Described<Row>, rows: readonly Row[]): Value[] {
  const values = new Map<string | undefined, Value>();
  for (const row of rows) {
    const text = of(row);
    const value = values.get(text);
    if (value === undefined) values.set(text, { text, term: term(row), times: 1 });
    else value.times += 1;
  }
  return [...values.values()].sort((a, b) => b.times - a.times).slice(0, MOST);
}

export interface Facet {
  readonly label: string;
  readonly values: readonly (Value & { readonly term: string })[];
}

export const facetsOf = <Row,>(rows: readonly Row[], facets: readonly Described<Row>[]): readonly Facet[] =>
  facets.map((facet) => ({
    label: facet.label,
    values: valuesOf(facet, rows).map((value) => ({ ...value, term: `${facet.key}:${value.term}` })),
  }));

/** `choose`: with the term of a facet. */
export function Facets(props: { facets: readonly Facet[]; query: string; choose: (term: string) => void }) {
  const chosen = new Set(terms(props.query));
  return (
    <aside class="facets" aria-label="Counts">
      {props.facets.map(({ label, values }) => (
        <div class="facetgroup" key={label}>
          <h3>{label}</h3>
          {values.map(({ text, term, times }) => (
            <button
              key={term}
              class="facet"
              type="button"
              aria-pressed={chosen.has(term)}
              onClick={() => props.choose(term)}
            >
              <span>{text ?? `no ${label.toLowerCase()}`}</span>
              <span class="n">{count(times)}</span>
            </button>
          ))}
        </div>
      ))}
    </aside>
  );
}
