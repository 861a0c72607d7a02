/** The words of the headline, for terminal and page: numbers, times and lists as English writes them. */

/** `1 call`, `3 calls`, `no call`. */
export const times = (count: number, noun: string): string =>
  `${count === 0 ? 'no' : count} ${noun}${count > 1 ? 's' : ''}`;

/** `one`, `one and two`, `one, two and three`. */
export function listed(items: readonly string[]): string {
  const last = items.at(-1) ?? '';
  return items.length < 2 ? last : `${items.slice(0, -1).join(', ')} and ${last}`;
}

/** `0.05 s`, `3 s`, `2 min`. */
export function age(ms: number): string {
  if (ms < 1_000) return `${(ms / 1_000).toFixed(2)} s`;
  return ms < 120_000 ? `${Math.floor(ms / 1_000)} s` : `${Math.floor(ms / 60_000)} min`;
}

/** `86 ms`, `2.6 s`. */
export const duration = (ms: number): string => (ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`);
