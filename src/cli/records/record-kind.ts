/** What a kind of record is for the commands, and what the kinds share. */
import type { EndpointStore } from '../../endpoint/endpoint-store.ts';
import type { RecordRequest } from './commands.ts';
import type { Terminal } from './confirmation.ts';

/** A line of a table. */
export interface Row {
  /** For `--json`. */
  readonly value: object;
  readonly cells: readonly string[];
  /** What the line under the table counts. */
  readonly status?: string;
}

export interface Table {
  /** One of them, for the line under the table. */
  readonly noun?: string;
  readonly columns: readonly string[];
  readonly widths: readonly number[];
  /** In the order in which they are counted. */
  readonly statuses?: readonly string[];
  rows(store: EndpointStore, request: RecordRequest): AsyncIterable<Row>;
}

/** What a command has done. */
export interface Done {
  readonly value: object;
  readonly text: string;
}

export interface RecordKind {
  readonly ls?: Table;
  show(store: EndpointStore, request: RecordRequest): Promise<object>;
  readonly verbs: Readonly<
    Record<string, (store: EndpointStore, request: RecordRequest, terminal: Terminal) => Promise<Done>>
  >;
}

export const INDENT = 2;

/** Leaves the id out unless `--ids` asks for it: it may be a credential. */
export const shownOf = <T extends { readonly id: string }>({ id, ...rest }: T, { ids }: RecordRequest): object =>
  ids ? { id, ...rest } : rest;

/** `--user`: name or key. */
export const isOf = (
  { user, userName }: { readonly user?: string; readonly userName?: string | undefined },
  { user: wanted }: RecordRequest,
): boolean => wanted === undefined || user === wanted || userName === wanted;

/** The instances that have a lease. */
export async function liveInstances({ instances }: EndpointStore): Promise<ReadonlySet<string>> {
  return new Set((await instances.list()).map(({ id }) => id));
}
