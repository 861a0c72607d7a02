/**
 * The client `pg`, loaded when the first store is opened, and no more of it than is used here. Rows come as arrays of the
 * server's own texts: an application may have changed what `pg` makes of its types.
 */
import { storeAway } from '../../errors.ts';

/** What can be bound. A buffer is sent as binary. */
export type Value = string | number | boolean | null | Buffer | readonly (string | null)[];
export type Row = readonly (string | null)[];

/** Prepared once for each connection, under a name that its text has alone. */
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

/** `pg`'s own configuration, of a client or of a pool. */
export type PgConfig = Readonly<Record<string, unknown>>;

interface Emitter {
  on(event: string, listener: (...given: never[]) => void): unknown;
  off(event: string, listener: (...given: never[]) => void): unknown;
}

export interface PgClient extends Emitter {
  readonly host: string;
  readonly port: number;
  readonly database: string | undefined;
  /** Of the server process; a pooler in between makes one up. */
  readonly processID: number | null;
  /** Destroying its stream is the only end that waits for nothing. */
  readonly connection: { readonly stream: { destroy(): void } };
  connect(): Promise<unknown>;
  query(query: PgQuery): Promise<PgResult>;
  end(): Promise<void>;
  ref(): void;
  unref(): void;
}

export interface PgPoolClient extends PgClient {
  /** With an error the connection is closed, else it goes back. */
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
  try {
    const { Client, Pool } = await import('pg');
    return { Client, Pool } as unknown as Pg;
  } catch (cause) {
    const { code, message } = cause as { readonly code?: unknown; readonly message?: unknown };
    const missing = code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND';
    const why = missing
      ? 'is not installed (it is an optional peer): npm install pg'
      : `could not be loaded (${String(message)}): install it again, npm install pg`;
    throw storeAway(`postgres() needs the package pg, which ${why}`, cause);
  }
}

export function isPool(given: unknown): given is PgPool {
  const { connect, query, options } = (given ?? {}) as Record<'connect' | 'query' | 'options', unknown>;
  return typeof connect === 'function' && typeof query === 'function' && typeof options === 'object';
}

const asText = { getTypeParser: () => (text: string) => text };

/** `named`: prepared where it is used again. */
export function queryOf({ name, text }: Statement, values: readonly Value[], named: boolean): PgQuery {
  const query = { text, values, rowMode: 'array', types: asText } as const;
  return named && name !== '' ? { name, ...query } : query;
}
