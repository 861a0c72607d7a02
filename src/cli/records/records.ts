/** Runs a command on the records of a deployment: `ls` prints a table, `show` JSON, and the other verbs a sentence. */
import { escapeControls } from '../../base/shown.ts';
import type { EndpointStore } from '../../endpoint/endpoint-store.ts';
import { EXIT } from '../failure.ts';
import type { RecordsCommand, RecordKind, RecordRequest } from './commands.ts';
import { events } from './events.ts';
import { handles } from './handles.ts';
import { instances } from './instances.ts';
import { once } from './once.ts';
import { withOpenStore } from './opened-store.ts';
import { json, type Out, recordText, shownOf } from './printing.ts';
import { sessions } from './sessions.ts';
import { tasks } from './tasks.ts';
import { users } from './users.ts';

const KINDS: Readonly<Record<RecordsCommand, RecordKind>> = {
  sessions,
  instances,
  tasks,
  handles,
  events,
  users,
  once,
};

/** Resolves with the exit code. */
export async function records(request: RecordRequest, out: Out): Promise<number> {
  await withOpenStore(request, (store) => perform(store, request, out));
  return EXIT.ok;
}

export async function perform(
  store: EndpointStore,
  request: RecordRequest,
  out: Out,
): Promise<void> {
  const kind = KINDS[request.kind];
  if (request.verb === 'ls') return list(kind, store, request, out);
  if (request.verb !== 'show') return out(`${await kind.act(store, request)}\n`);
  return out(recordText(await kind.show(store, request), request));
}

async function list(
  { columns = [], widths = [], cells, ls, ...kind }: RecordKind,
  store: EndpointStore,
  request: RecordRequest,
  out: Out,
): Promise<void> {
  const { noun = request.kind.slice(0, -1) } = kind;
  const from = columns[0] === 'ID' && !request.ids ? 1 : 0;
  const line = (texts: readonly string[] = []): string => {
    const cells = texts.map((text, n) => escapeControls(text).padEnd(widths[n] ?? 0));
    return `${cells.slice(from).join('  ').trimEnd()}\n`;
  };
  const counts = new Map<string, number>();
  let lines = 0;
  if (!request.json) out(line(columns));
  for await (const value of ls?.(store, request) ?? []) {
    lines += 1;
    if (value.status !== undefined) counts.set(value.status, (counts.get(value.status) ?? 0) + 1);
    out(request.json ? json(shownOf(value, request)) : line(cells?.(value)));
  }
  if (request.json || request.kind === 'instances') return;
  const parts = [...counts].map(([status, count]) => `${count} ${status}`);
  out(
    `\n${lines} ${lines === 1 ? noun : `${noun}s`}${parts.length === 0 ? '' : `: ${parts.join(', ')}`}\n`,
  );
}
