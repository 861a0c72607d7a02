/** How tables, reports and JSON are printed. Clients choose names, and must not control the operator's terminal. */
import { escapeButLineBreaks, escapeControls } from '../../base/shown.ts';
import type { InstanceLease } from '../../stores/store.ts';
import type { Logger } from '../../types.ts';
import { reason } from '../failure.ts';

/** A line of a table. */
export function row(cells: readonly string[], widths: readonly number[]): string {
  return `${cells
    .map((cell, n) => escapeControls(cell).padEnd(widths[n] ?? 0))
    .join('  ')
    .trimEnd()}\n`;
}

/** Named lines, one below the other. */
export function rowsText(rows: ReadonlyArray<readonly [name: string, text: string]>): string {
  const width = Math.max(...rows.map(([name]) => name.length)) + 2;
  return rows.map(([name, text]) => `  ${name.padEnd(width)}${escapeControls(text)}\n`).join('');
}

/** `JSON.stringify` does not escape the control characters U+007F to U+009F, and others that reorder a line. */
export const json = (value: object, space = 0): string =>
  `${escapeButLineBreaks(JSON.stringify(value, undefined, space))}\n`;

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
