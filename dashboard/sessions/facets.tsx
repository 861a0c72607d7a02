/** Counts of what the list shows, by state, owner, client, revision and user. A facet is a term of the filter. */
import { count } from '../format.ts';
import { statusText } from './columns.tsx';
import { type Filtered, stateWord, terms, word } from './filter.ts';

const MOST = 6;

interface Described {
  readonly label: string;
  readonly key: string;
  readonly of: (row: Filtered) => string | undefined;
  readonly term: (row: Filtered) => string;
}

const FACETS: readonly Described[] = [
  { label: 'State', key: 'state', of: ({ status }) => statusText(status), term: ({ status }) => stateWord(status) },
  { label: 'Owner', key: 'owner', of: ({ ownerName }) => ownerName, term: ({ ownerName }) => word(ownerName) },
  { label: 'Client', key: 'client', of: (row) => row.clientInfo.name, term: (row) => word(row.clientInfo.name) },
  { label: 'Revision', key: 'version', of: (row) => row.protocolVersion, term: (row) => row.protocolVersion },
  { label: 'User', key: 'user', of: ({ userName }) => userName, term: ({ userName }) => word(userName) },
];

interface Value {
  readonly text: string | undefined;
  readonly term: string;
  times: number;
}

function valuesOf({ of, term }: Described, rows: readonly Filtered[]): Value[] {
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

export const facetsOf = (rows: readonly Filtered[]): readonly Facet[] =>
  FACETS.map((facet) => ({
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
