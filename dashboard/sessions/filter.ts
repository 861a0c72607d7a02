/**
 * The language of the filter: `client:cursor owner:web-2 state:live idle>10m`, and words, which fit a client, a user or
 * a hash. All terms must fit. A term that means nothing is named, not ignored.
 */
import type { SessionRow } from '../../src/dashboard/wire-pages.ts';

/** What a filter reads. `owner` is a name and not an id. */
export interface Filtered extends Omit<SessionRow, 'owner'> {
  readonly ownerName: string | undefined;
}

type Test = (row: Filtered) => boolean;

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const BYTES: Readonly<Record<string, number>> = { k: 1e3, m: 1e6 };

/** A value as the filter writes it: without spaces. */
export const word = (text: string | undefined): string => text?.toLowerCase().replace(/\s+/g, '-') || '-';

export const stateWord = (status: SessionRow['status']): string => (status === 'orphaned' ? 'owner-lost' : status);

const FIELDS: Readonly<Record<string, (row: Filtered, value: string) => boolean>> = {
  client: (row, value) => word(row.clientInfo.name).includes(value),
  user: (row, value) => word(row.userName) === value,
  owner: (row, value) => word(row.ownerName) === value,
  state: (row, value) => stateWord(row.status) === value || row.status === value,
  version: (row, value) => row.protocolVersion.startsWith(value),
  stream: (row, value) => (value === 'get' ? row.getStream === true : value === 'none' && row.getStream === false),
};

const NUMBERS: Readonly<
  Record<string, { readonly of: (row: Filtered, now: number) => number | undefined; readonly units: typeof UNITS }>
> = {
  idle: { of: ({ activeAt }, now) => now - activeAt, units: UNITS },
  age: { of: ({ createdAt }, now) => now - createdAt, units: UNITS },
  calls: { of: ({ calls }) => calls, units: BYTES },
  size: { of: ({ bytes }) => bytes, units: BYTES },
};

function comparison(term: string, now: number): Test | undefined {
  const [, name = '', sign, digits, unit = ''] = /^([a-z]+)([<>])(\d+(?:\.\d+)?)([a-z]?)b?$/.exec(term) ?? [];
  const number = Object.hasOwn(NUMBERS, name) ? NUMBERS[name] : undefined;
  const factor = unit === '' ? 1 : number?.units[unit];
  if (number === undefined || factor === undefined) return undefined;
  const bound = Number(digits) * factor;
  return (row) => {
    const value = number.of(row, now);
    return value !== undefined && (sign === '>' ? value > bound : value < bound);
  };
}

function testOf(term: string, now: number): Test | undefined {
  if (/[<>]/.test(term)) return comparison(term, now);
  const [, name = '', value = ''] = /^([a-z]+):(.+)$/.exec(term) ?? [];
  if (name === '') {
    if (term.includes(':')) return undefined;
    return ({ clientInfo, userName, hash }) =>
      word(clientInfo.name).includes(term) || word(userName).startsWith(term) || hash.startsWith(term);
  }
  const field = Object.hasOwn(FIELDS, name) ? FIELDS[name] : undefined;
  return field && ((row) => field(row, value));
}

export interface Filter {
  readonly fits: (row: Filtered) => boolean;
  readonly unknown: readonly string[];
}

/** `now`: the time of the scan. */
export function parseFilter(query: string, now: number): Filter {
  const tests: Test[] = [];
  const unknown: string[] = [];
  for (const term of terms(query)) {
    const test = testOf(term.toLowerCase(), now);
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
