/** Runs a command on the records of a deployment: `ls` prints a table, `show` JSON, and the other verbs a sentence. */
import type { EndpointStore } from '../../endpoint/endpoint-store.ts';
import { EXIT } from '../failure.ts';
import type { RecordRequest } from './commands.ts';
import { instances } from './instance-records.ts';
import { once } from './once-records.ts';
import { withOpenStore } from './opened-store.ts';
import { json, row } from './printing.ts';
import { INDENT, type Listed, type RecordKind, shownOf, type Table } from './record-kind.ts';
import { sessions } from './session-records.ts';
import { tasks } from './task-records.ts';

const KINDS: Readonly<Record<RecordRequest['kind'], RecordKind>> = { sessions, instances, tasks, once };

/** Resolves with the exit code. */
export async function records(request: RecordRequest, out: (text: string) => void): Promise<number> {
  await withOpenStore(request, (store) => perform(store, request, out));
  return EXIT.ok;
}

export async function perform(
  store: EndpointStore,
  request: RecordRequest,
  out: (text: string) => void,
): Promise<void> {
  const { ls, show, verbs } = KINDS[request.kind];
  const { verb } = request;
  if (verb === 'show') return out(json(await show(store, request), request.json ? 0 : INDENT));
  if (verb === 'ls' && ls !== undefined) return list(ls, store, request, out);
  return out(`${await verbs[verb]?.(store, request)}\n`);
}

async function list(
  { noun, columns, widths, cells, rows }: Table<Listed>,
  store: EndpointStore,
  request: RecordRequest,
  out: (text: string) => void,
): Promise<void> {
  const from = columns[0] === 'ID' && !request.ids ? 1 : 0;
  const line = (texts: readonly string[]): string => row(texts.slice(from), widths.slice(from));
  const counts = new Map<string, number>();
  let lines = 0;
  if (!request.json) out(line(columns));
  for await (const value of rows(store, request)) {
    lines += 1;
    if (value.status !== undefined) counts.set(value.status, (counts.get(value.status) ?? 0) + 1);
    out(request.json ? json(shownOf(value, request)) : line(cells(value)));
  }
  if (request.json || noun === undefined) return;
  const parts = [...counts].map(([status, count]) => `${count} ${status}`);
  out(`\n${lines} ${noun}${lines === 1 ? '' : 's'}${lines === 0 ? '' : `: ${parts.join(', ')}`}\n`);
}
