/** Tables and JSON of records. Private data is left out by the kinds: payloads, and the values of `session.state`. */
import type { InstanceLease } from '../../stores/store.ts';

/** A line of a table. */
export function row(cells: readonly string[], widths: readonly number[]): string {
  return `${cells
    .map((cell, n) => printable(cell).padEnd(widths[n] ?? 0))
    .join('  ')
    .trimEnd()}\n`;
}

/** Replaces control characters: clients choose their names, and must not control the operator's terminal. */
export const printable = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, '\u{fffd}');

/** `JSON.stringify` does not escape the control characters U+007F to U+009F, and others that reorder a line. */
export const json = (value: object, space = 0): string =>
  `${JSON.stringify(value, undefined, space).replace(/[^\P{Cc}\n]|[\p{Cf}\p{Zl}\p{Zp}]/gu, escaped)}\n`;

const escaped = (text: string): string =>
  Array.from({ length: text.length }, (_, n) => `\\u${text.charCodeAt(n).toString(16).padStart(4, '0')}`).join('');

export const timestamp = (at: number): string => new Date(at).toISOString().replace(/\.\d+Z$/, 'Z');

/** An instance as `doctor` and errors name it. */
export function instanceText({ id, state, version, process }: InstanceLease): string {
  const where =
    process && `, ${process.host} pid ${process.pid} since ${timestamp(process.startedAt)}, ${process.runtime}`;
  return `${id} ${state}, sojourn ${version}${where ?? ''}`;
}
