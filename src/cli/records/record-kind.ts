/** What the commands of each kind of records are made of, and what the kinds share. */
import { pagesOf } from '../../base/pages.ts';
import type { EndpointStore } from '../../endpoint/endpoint-store.ts';
import type { InstanceLease, StoredRecord } from '../../stores/store.ts';
import { Failure } from '../failure.ts';
import type { RecordRequest } from './commands.ts';
import { living, PAGE } from './opened-store.ts';
import { json } from './printing.ts';

export interface Listed {
  readonly id: string;
  readonly hash?: string;
  readonly status?: string;
}

export interface RecordKind<T extends Listed = Listed> {
  /** The table of `ls`. Its widths end before the last column. The column `ID` is shown with `--ids`. */
  readonly columns?: readonly string[];
  readonly widths?: readonly number[];
  cells?(value: T): readonly string[];
  ls?(store: EndpointStore, request: RecordRequest): AsyncIterable<T>;
  show(store: EndpointStore, request: RecordRequest): Promise<object>;
  /** The verb that changes something. Resolves with what it has done, in a line. */
  act(store: EndpointStore, request: RecordRequest): Promise<string>;
}

/** The records of all pages, of the user that the command names, if it does: by name or key. */
export async function* summaries<T extends { readonly user?: string; readonly userName?: string }>(
  store: EndpointStore,
  kind: 'sessions' | 'tasks',
  summary: (record: StoredRecord, alive: ReadonlySet<string>) => T,
  { user }: RecordRequest,
): AsyncGenerator<T, void> {
  for await (const page of pagesOf((cursor) => store[kind].list(PAGE, cursor))) {
    // Read again for each page, because an instance may die between two pages.
    const alive = new Set((await living(store)).keys());
    for (const record of page.records) {
      const one = summary(record, alive);
      if (user === undefined || one.user === user || one.userName === user) yield one;
    }
  }
}

/** Leaves the id of what has a hash out unless `--ids` asks for it: it may be a credential. */
export function shownOf(value: object, { ids }: RecordRequest): object {
  const { id: _id, ...rest } = value as Partial<Listed>;
  return ids || rest.hash === undefined ? value : rest;
}

/** The indent of printed JSON. */
export const INDENT = 2;

/** What cannot be taken back is shown first. */
export function requireYes(shown: object, consequence: string, request: RecordRequest): void {
  if (request.yes) return;
  const text = json(shownOf(shown, request), INDENT);
  throw new Failure(`nothing was done to\n${text}${consequence}. Give --yes to do it`);
}

/** Where the owner of a record runs. */
export function ownerIn(alive: ReadonlyMap<string, InstanceLease>, { owner }: StoredRecord) {
  const lease = alive.get(owner ?? '');
  return lease && { ownerState: lease.state, host: lease.process?.host, pid: lease.process?.pid };
}
