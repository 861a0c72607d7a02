/** Runs a command on the records of a deployment: `ls` prints a table, `show` JSON, and the other verbs a sentence. */
import { pagesOf } from '../../base/pages.ts';
import type { EndpointStore } from '../../endpoint/endpoint-store.ts';
import type { InstanceLease, Records, StoredRecord } from '../../stores/store.ts';
import { EXIT, Failure } from '../failure.ts';
import type { RecordRequest } from './commands.ts';
import { PAGE, withOpenStore } from './opened-store.ts';
import { json, row } from './printing.ts';

interface Table<T> {
  /** One of them, for the line under the table. */
  readonly noun?: string;
  /** The widths end before the last column. The column `ID` is shown with `--ids`. */
  readonly columns: readonly string[];
  readonly widths: readonly number[];
  cells(value: T): readonly string[];
  rows(store: EndpointStore, request: RecordRequest): AsyncIterable<T>;
}

interface Listed {
  readonly id: string;
  readonly hash?: string;
  readonly status?: string;
}

export interface RecordKind<T extends Listed = Listed> {
  readonly ls?: Table<T>;
  show(store: EndpointStore, request: RecordRequest): Promise<object>;
  /** Each resolves with what it has done, in a line. */
  readonly verbs: Readonly<Record<string, (store: EndpointStore, request: RecordRequest) => Promise<string>>>;
}

const KINDS: Readonly<Record<RecordRequest['kind'], () => Promise<RecordKind>>> = {
  sessions: async () => (await import('./session-records.ts')).sessions,
  instances: async () => (await import('./instance-records.ts')).instances,
  tasks: async () => (await import('./task-records.ts')).tasks,
  once: async () => (await import('./once-records.ts')).once,
};

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
  const { ls, show, verbs } = await KINDS[request.kind]();
  const { verb } = request;
  if (verb === 'show') return out(json(await show(store, request), request.json ? 0 : INDENT));
  if (verb === 'ls' && ls !== undefined) return list(ls, store, request, out);
  return out(`${await verbs[verb]?.(store, request)}\n`);
}

const INDENT = 2;

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

/** The records of all pages, of the user that the command names, if it does: by name or key. */
export async function* summaries<T extends { readonly user?: string; readonly userName?: string }>(
  store: EndpointStore,
  of: Pick<Records, 'list'>,
  summary: (record: StoredRecord, alive: ReadonlySet<string>) => T,
  { user }: RecordRequest,
): AsyncGenerator<T, void> {
  for await (const page of pagesOf((cursor) => of.list(PAGE, cursor))) {
    // Read again for each page, because an instance may die between two pages.
    const alive = new Set((await store.instances.list()).map(({ id }) => id));
    for (const record of page.records) {
      const one = summary(record, alive);
      if (user === undefined || one.user === user || one.userName === user) yield one;
    }
  }
}

/** Leaves the id of what has a hash out unless `--ids` asks for it: it may be a credential. */
export function shownOf<T extends Listed>(value: T, { ids }: RecordRequest): object {
  const { id: _id, ...rest } = value;
  return ids || value.hash === undefined ? value : rest;
}

/** What cannot be taken back is shown first. */
export function requireYes(shown: object, consequence: string, { yes }: RecordRequest): void {
  if (!yes) throw new Failure(`nothing was done to\n${json(shown, INDENT)}${consequence}. Give --yes to do it`);
}

/** Where the owner of a record runs. An older build says nothing of its process. */
export async function ownerOf({ instances }: EndpointStore, { owner }: Pick<StoredRecord, 'owner'>) {
  const lease: InstanceLease | undefined = owner === null ? undefined : await instances.read(owner);
  const { host, pid } = lease?.process ?? {};
  const alive: ReadonlySet<string> = new Set(lease === undefined ? [] : [lease.id]);
  return {
    lease,
    alive,
    shown: { ...(lease && { ownerState: lease.state }), ...(host !== undefined && { host, pid }) },
  };
}
