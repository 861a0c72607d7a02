/** How values are written. A value without a source is `–`. */
import type { InstanceRow } from '../wire.ts';

export const NONE = '–';

const COUNT = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

type Maybe = number | undefined;

export const count = (value: Maybe): string => (value === undefined ? NONE : COUNT.format(value));

/** `1 call`, `2 calls`. */
export const many = (value: number, one: string): string =>
  `${count(value)} ${one}${value === 1 ? '' : 's'}`;

/** A second: `0`, `0.4`, `12`. */
export const rate = (value: Maybe): string =>
  value === undefined ? NONE : value > 0 && value < 9.95 ? value.toFixed(1) : count(value);

/** A duration that was measured: `4.1 ms`, `191 ms`, `2.1 s`, `3 min 5 s`. */
export function ms(value: Maybe): string {
  if (value === undefined) return NONE;
  if (value >= 99_500)
    return `${Math.floor(value / 60_000)} min ${Math.round((value % 60_000) / 1000)} s`;
  if (value >= 995) return `${(value / 1000).toFixed(value < 9950 ? 1 : 0)} s`;
  return value >= 9.95 ? `${Math.round(value)} ms` : `${value.toFixed(1)} ms`;
}

/** A time that has passed, by its largest unit: `9 s`, `41 min`, `3 h 5 min`, `2 d`. */
export function span(value: number): string {
  const seconds = Math.max(0, Math.round(value / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400)
    return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d`;
}

export function bytes(value: Maybe): string {
  if (value === undefined) return NONE;
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} MB`;
  return value >= 1e3 ? `${(value / 1e3).toFixed(1)} KB` : `${value} B`;
}

export const percent = (part: number, whole: number): string =>
  whole === 0
    ? NONE
    : `${((part / whole) * 100).toFixed(part / whole < 0.0995 && part > 0 ? 1 : 0)} %`;

/** `14:03:22`, by the clock of the browser. */
export const clock = (at: number): string => new Date(at).toTimeString().slice(0, 8);

/** What an instance is called: its host, with its pid where two have one host. */
export function nameIn(all: readonly Pick<InstanceRow, 'id' | 'process'>[], id = NONE): string {
  const { host, pid } = all.find((one) => one.id === id)?.process ?? {};
  if (host === undefined) return id.slice(0, 8);
  return all.filter(({ process }) => process?.host === host).length === 1 ? host : `${host} ${pid}`;
}

/** `web-1`, `web-1 and web-2`, `web-1, web-2 and web-3`; more than four become a number. */
export function list(words: readonly string[]): string {
  if (words.length > 4) return `${words.length} instances`;
  return words.length < 2
    ? (words[0] ?? '')
    : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}
