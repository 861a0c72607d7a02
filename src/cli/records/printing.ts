/** Tables and JSON of records. Private data is left out by the kinds: payloads, and the values of `session.state`. */
import type { InstanceLease } from '../../stores/store.ts';
import type { Logger } from '../../types.ts';
import { reason } from '../failure.ts';

/** A line of a table. */
export function row(cells: readonly string[], widths: readonly number[]): string {
  return `${cells
    .map((cell, n) => printable(cell).padEnd(widths[n] ?? 0))
    .join('  ')
    .trimEnd()}\n`;
}

/** Named lines, one below the other. */
export function rowsText(rows: ReadonlyArray<readonly [name: string, text: string]>): string {
  const width = Math.max(...rows.map(([name]) => name.length)) + 2;
  return rows.map(([name, text]) => `  ${name.padEnd(width)}${printable(text)}\n`).join('');
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

/** A logger that keeps its lines from `warn` on, each once. */
export function collectingLogger(lines: Set<string>): Logger {
  const quiet = (): void => {};
  const keep = (fields: object, message: string): void => {
    const err: unknown = 'err' in fields ? fields.err : undefined;
    lines.add(err === undefined ? message : `${message}: ${reason(err)}`);
  };
  return { debug: quiet, info: quiet, warn: keep, error: keep, fatal: keep };
}
