/**
 * The language of a filter: `client:cursor state:live idle>10m`, and words. All terms must fit. A term that means
 * nothing is named, not ignored.
 */

type Test<Row> = (row: Row) => boolean;

export const DURATIONS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
export const AMOUNTS: Readonly<Record<string, number>> = { k: 1e3, m: 1e6 };

interface NumberField<Row> {
  readonly of: (row: Row, now: number) => number | undefined;
  readonly units: Readonly<Record<string, number>>;
}

export interface Language<Row> {
  readonly fields: Readonly<Record<string, (row: Row, value: string) => boolean>>;
  readonly numbers: Readonly<Record<string, NumberField<Row>>>;
  /** Whether a word without a field fits. */
  readonly fits: (row: Row, text: string) => boolean;
}

/** A value as the filter writes it: without spaces. */
export const word = (text: string | undefined): string => text?.toLowerCase().replace(/\s+/g, '-') || '-';

function comparison<Row>(term: string, now: number, { numbers }: Language<Row>): Test<Row> | undefined {
  const [, name = '', sign, digits, unit = ''] = /^([a-z]+)([<>])(\d+(?:\.\d+)?)([a-z]?)b?$/.exec(term) ?? [];
  const number = Object.hasOwn(numbers, name) ? numbers[name] : undefined;
  const factor = unit === '' ? 1 : number?.units[unit];
  if (number === undefined || factor === undefined) return undefined;
  const bound = Number(digits) * factor;
  return (row) => {
    const value = number.of(row, now);
    return value !== undefined && (sign === '>' ? value > bound : value < bound);
  };
}

function testOf<Row>(term: string, now: number, language: Language<Row>): Test<Row> | undefined {
  if (/[<>]/.test(term)) return comparison(term, now, language);
  const [, name = '', value = ''] = /^([a-z]+):(.+)$/.exec(term) ?? [];
  if (name === '') return term.includes(':') ? undefined : (row) => language.fits(row, term);
  const field = Object.hasOwn(language.fields, name) ? language.fields[name] : undefined;
  return field && ((row) => field(row, value));
}

export interface Filter<Row> {
  readonly fits: Test<Row>;
  readonly unknown: readonly string[];
}

/** `now`: the time of the scan. */
export function filterOf<Row>(query: string, now: number, language: Language<Row>): Filter<Row> {
  const tests: Test<Row>[] = [];
  const unknown: string[] = [];
  for (const term of terms(query)) {
    const test = testOf(term.toLowerCase(), now, language);
    if (test === undefined) unknown.push(term);
    else tests.push(test);
  }
  return { fits: (row) => tests.every((test) => test(row)), unknown };
}

export const terms = (query: string): string[] => query.split(/\s+/).filter(Boolean);

/** The query with this term, or without it where it has it. */
export function toggled(query: string, term: string): string {
  const all = terms(query);
  return (all.includes(term) ? all.filter((one) => one !== term) : [...all, term]).join(' ');
}
