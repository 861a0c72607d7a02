/** What the commands of each kind of records are made of. */
import { pagesOf } from '../../base/pages.ts';
import type { EndpointStore } from '../../endpoint/endpoint-store.ts';
import type { InstanceLease, Records, StoredRecord } from '../../stores/store.ts';
import { Failure } from '../failure.ts';
import type { RecordRequest } from './commands.ts';
import { PAGE } from './opened-store.ts';
import { json } from './printing.ts';

export interface Table<T> {
  /** One of them, for the line under the table. */
  readonly noun?: string;
  /** The widths end before the last column. The column `ID` is shown with `--ids`. */
  readonly columns: readonly string[];
  readonly widths: readonly number[];
  cells(value: T): readonly string[];
  rows(store: EndpointStore, request: RecordRequest): AsyncIterable<T>;
}

export interface Listed {
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

/** The indent of printed JSON. */
export const INDENT = 2;

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
