/** How tables, reports and JSON are printed. Clients choose names, and must not control the operator's terminal. */
import { escapeButLineBreaks, escapeControls } from '../../base/shown.ts';
import type { InstanceLease } from '../../stores/store.ts';
import type { Logger } from '../../types.ts';
import { Failure, reason } from '../failure.ts';
import type { RecordRequest } from './commands.ts';

/** Named lines, one below the other. */
export function rowsText(rows: ReadonlyArray<readonly [name: string, text: string]>): string {
  const width = Math.max(...rows.map(([name]) => name.length)) + 2;
  return rows.map(([name, text]) => `  ${name.padEnd(width)}${escapeControls(text)}\n`).join('');
}

/** The indent of printed JSON. */
export const INDENT = 2;

/** `JSON.stringify` does not escape the control characters U+007F to U+009F, and others that reorder a line. */
export const json = (value: object, space = 0): string =>
  `${escapeButLineBreaks(JSON.stringify(value, undefined, space))}\n`;

/** Leaves the id of what has a hash out unless `--ids` asks for it: it may be a credential. */
export function shownOf(value: object, { ids }: RecordRequest): object {
  const { id: _id, ...rest } = value as { readonly id?: string; readonly hash?: string };
  return ids || rest.hash === undefined ? value : rest;
}

/** What cannot be taken back is shown first. */
export function requireYes(shown: object, consequence: string, request: RecordRequest): void {
  if (request.yes) return;
  const text = json(shownOf(shown, request), INDENT);
  throw new Failure(`nothing was done to\n${text}${consequence}. Give --yes to do it`);
}

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
