/**
 * The client package `pg`, with types for the members that the store uses: it has none of its own. Rows come as arrays
 * of the server's texts, because an application may have changed the type parsers of `pg`.
 */
import pg from 'pg';
import { digestOf } from 'sojourn/internal';

/** What can be bound. */
export type PgValue = string | number | null | readonly string[];
export type PgRow = readonly (string | null)[];

/** Prepared once per connection, under a name that is unique to its text. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

export interface PgResult {
  readonly rows: readonly PgRow[];
}

/** The configuration of a `Client` or a `Pool` of `pg`: `{ host, port, user, password, database, ssl, max, … }`. */
export type PostgresConfig = Readonly<Record<string, unknown>>;

export interface PgClient {
  readonly host: string;
  readonly port: number;
  readonly database: string | undefined;
  /** Destroying its stream is the only way to close without waiting. */
  readonly connection: { readonly stream: { destroy(): void } };
  on(event: string, listener: (...given: never[]) => void): unknown;
  connect(): Promise<unknown>;
  query(query: ReturnType<typeof queryOf>): Promise<PgResult>;
  end(): Promise<void>;
  ref(): void;
  unref(): void;
}

export const Client = pg.Client as unknown as new (config: PostgresConfig) => PgClient;

export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

export const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** A key of 64 bits for some names; a text, because `pg` would round the number. */
export const keyOf = (names: readonly string[]): string =>
  digestOf(JSON.stringify(names)).readBigInt64BE().toString();

const asText = { getTypeParser: () => (text: string) => text };

/** A text is not prepared: it runs once, or before a pooler is ruled out. */
export const queryOf = (statement: Statement | string, values: readonly PgValue[] = []) => ({
  ...(typeof statement === 'string' ? { text: statement } : statement),
  values,
  rowMode: 'array',
  types: asText,
});
