/** Runs a command on the records of a deployment: `ls` prints a table, `show` JSON, and the other verbs a sentence. */
import type { EndpointStore } from '../../endpoint/endpoint-store.ts';
import type { RecordRequest } from './commands.ts';
import type { Terminal } from './confirmation.ts';
import { withOpenStore } from './opened-store.ts';
import { json, row } from './printing.ts';
import { INDENT, type RecordKind, type Table } from './record-kind.ts';

const KINDS: Readonly<Record<RecordRequest['kind'], () => Promise<RecordKind>>> = {
  sessions: async () => (await import('./session-records.ts')).sessions,
  instances: async () => (await import('./instance-records.ts')).instances,
  tasks: async () => (await import('./task-records.ts')).tasks,
  once: async () => (await import('./once-records.ts')).once,
};

/** Resolves with the exit code. */
export async function records(request: RecordRequest, terminal: Terminal): Promise<number> {
  const { ls, show, verbs } = await KINDS[request.kind]();
  const { verb } = request;
  return withOpenStore(request, async (store) => {
    if (verb === 'show') return terminal.out(json(await show(store, request), request.json ? 0 : INDENT));
    if (verb !== 'ls' || ls === undefined) {
      const done = await verbs[verb]?.(store, request, terminal);
      return terminal.out(request.json ? json(done?.value ?? {}) : (done?.text ?? ''));
    }
    return list(ls, store, request, terminal.out);
  });
}

async function list(
  { noun, columns, widths: all, statuses = [], rows }: Table,
  store: EndpointStore,
  request: RecordRequest,
  out: (text: string) => void,
): Promise<void> {
  // The first column has the ids.
  const shown = <T>(cells: readonly T[]): readonly T[] => (request.ids || noun === undefined ? cells : cells.slice(1));
  const widths = shown(all);
  const counts = new Map(statuses.map((status) => [status, 0]));
  let lines = 0;
  if (!request.json) out(row(shown(columns), widths));
  for await (const { value, cells, status = '' } of rows(store, request)) {
    lines += 1;
    counts.set(status, (counts.get(status) ?? 0) + 1);
    out(request.json ? json(value) : row(shown(cells), widths));
  }
  if (request.json || noun === undefined) return;
  const parts = [...counts].flatMap(([status, count]) => (count === 0 ? [] : [`${count} ${status}`]));
  out(`\n${lines} ${noun}${lines === 1 ? '' : 's'}${lines === 0 ? '' : `: ${parts.join(', ')}`}\n`);
}
