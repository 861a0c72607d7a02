/**
 * The client package `pg`: loaded when the first store is opened, with types for the members that the store uses. Rows
 * come as arrays of the server's texts, because an application may have changed the type parsers of `pg`.
 */

/** What can be bound. A buffer is sent as binary. */
type Scalar = string | number | boolean | null;
export type Value = Scalar | Buffer | readonly Scalar[];
export type Row = readonly (string | null)[];

/** Prepared once per connection, under a name that is unique to its text. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

export interface PgResult {
  readonly rows: readonly Row[];
  readonly rowCount: number | null;
  readonly command: string;
}

export interface PgQuery {
  readonly name?: string;
  readonly text: string;
  readonly values: readonly Value[];
  readonly rowMode: 'array';
  readonly types: { getTypeParser(): (text: string) => string };
}

/** The configuration of a client or a pool of `pg`. */
export type PgConfig = Readonly<Record<string, unknown>>;

interface Emitter {
  on(event: string, listener: (...given: never[]) => void): unknown;
  off(event: string, listener: (...given: never[]) => void): unknown;
}

export interface PgClient extends Emitter {
  readonly host: string;
  readonly port: number;
  readonly database: string | undefined;
  /** The id of the server process; a pooler in between invents one. */
  readonly processID: number | null;
  /** Destroying its stream is the only way to close without waiting. */
  readonly connection: { readonly stream: { destroy(): void } };
  connect(): Promise<unknown>;
  query(query: PgQuery): Promise<PgResult>;
  end(): Promise<void>;
  ref(): void;
  unref(): void;
}

export interface PgPoolClient extends PgClient {
  /** With an error the pool closes the connection; without one it reuses it. */
  release(error?: Error): void;
}

export interface PgPool extends Emitter {
  readonly options: PgConfig;
  connect(): Promise<PgPoolClient>;
  end(): Promise<void>;
  listenerCount(event: string): number;
}

export interface Pg {
  readonly Client: new (config: PgConfig) => PgClient;
  readonly Pool: new (config: PgConfig) => PgPool;
}

export async function loadPg(): Promise<Pg> {
  const { default: pg } = await import('pg');
  return pg as unknown as Pg;
}

export function isPool(given: unknown): given is PgPool {
  const { connect, query, options } = (given ?? {}) as Record<'connect' | 'query' | 'options', unknown>;
  return typeof connect === 'function' && typeof query === 'function' && typeof options === 'object';
}

const asText = { getTypeParser: () => (text: string) => text };

/** `named`: prepared, for statements that are used again. */
export function queryOf({ name, text }: Statement, values: readonly Value[], named: boolean): PgQuery {
  const query = { text, values, rowMode: 'array', types: asText } as const;
  return named && name !== '' ? { name, ...query } : query;
}
