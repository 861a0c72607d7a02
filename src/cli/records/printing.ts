/** How tables, reports and JSON are printed. Clients choose names, and must not control the operator's terminal. */
import { escapeButLineBreaks, escapeControls } from '../../base/shown.ts';
import type { InstanceLease } from '../../stores/store.ts';
import type { Logger } from '../../base/types.ts';
import { EXIT, Failure, reason } from '../failure.ts';
import type { RecordRequest } from './commands.ts';

/** What `check` and `doctor` find. `report`: with `--json`. */
export interface Findings {
  readonly report: object;
  readonly title: string;
  readonly rows: ReadonlyArray<readonly [name: string, text: string]>;
  readonly problems: number;
}

/** Returns the exit code. */
export function printFindings(
  { report, title, rows, problems }: Findings,
  asJson: boolean,
  out: Out,
): number {
  const width = Math.max(...rows.map(([name]) => name.length)) + 2;
  const lines = rows.map(([name, text]) => `  ${name.padEnd(width)}${text}`);
  const end = problems === 0 ? 'No problem found.' : `Problems found: ${problems}.`;
  out(
    asJson
      ? json(report)
      : [title, '', ...lines, '', end].map((line) => `${escapeControls(line)}\n`).join(''),
  );
  return problems === 0 ? EXIT.ok : EXIT.failed;
}

export type Out = (text: string) => void;

/** `JSON.stringify` does not escape the control characters U+007F to U+009F, and others that reorder a line. */
export const json = (value: object, space = 0): string =>
  `${escapeButLineBreaks(JSON.stringify(value, undefined, space))}\n`;

/** Leaves the id of what has a hash out unless `--ids` asks for it: it may be a credential. */
export function shownOf(value: object, { ids }: RecordRequest): object {
  const { id: _id, ...rest } = value as { readonly id?: string; readonly hash?: string };
  return ids || rest.hash === undefined ? value : rest;
}

/** What `show` prints, with times as `ls` prints them. */
export function recordText(record: object, request: RecordRequest): string {
  const shown = Object.entries(shownOf(record, request)).map(([name, value]: [string, unknown]) => [
    name,
    typeof value === 'number' && TIME.test(name) ? timestamp(value) : value,
  ]);
  return json(Object.fromEntries(shown) as object, 2);
}

const TIME = /^at$|(?:At|Until)$/;

/** What cannot be taken back is shown first. */
export function requireYes(shown: object, consequence: string, request: RecordRequest): void {
  if (request.yes) return;
  throw new Failure(
    `nothing was done to\n${recordText(shown, request)}${consequence}. Give --yes to do it`,
  );
}

/** A damaged record may have any number. */
export const timestamp = (at: number): string =>
  Math.abs(at) <= 8.64e15 ? new Date(at).toISOString().replace(/\.\d+Z$/, 'Z') : String(at);

/** An instance as `doctor` and errors name it. */
export function instanceText({ id, state, version, server, process }: InstanceLease): string {
  const where =
    process &&
    `, ${process.host} pid ${process.pid} since ${timestamp(process.startedAt)}, ${process.runtime}`;
  const what = server === undefined ? '' : `, server ${escapeControls(server)}`;
  return `${id} ${state}, sojourn ${version}${where ?? ''}${what}`;
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
