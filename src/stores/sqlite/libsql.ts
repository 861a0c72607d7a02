/**
 * The package `libsql`, loaded when the first file is opened, and types for the part of it that is used. Rows are
 * arrays, because row objects would have libsql's own `_metadata`.
 */
import { storeUnavailable } from '../../base/errors.ts';

/** What can be bound and read. The type excludes booleans: libsql ends the process on one. */
export type SqliteValue = string | number | null | Uint8Array;

export interface LibsqlStatement {
  raw(on: boolean): LibsqlStatement;
  readonly reader: boolean;
  get(values: readonly SqliteValue[]): SqliteValue[] | undefined;
  all(values: readonly SqliteValue[]): SqliteValue[][];
  run(values: readonly SqliteValue[]): { readonly changes: number };
}

export interface LibsqlConnection {
  readonly inTransaction: boolean;
  prepare(sql: string): LibsqlStatement;
  exec(sql: string): void;
  close(): void;
}

export type Libsql = new (path: string, options: { readonly timeout: number }) => LibsqlConnection;

/** The `import()` is in a `try`, where bundlers accept that a package is missing. */
export async function loadLibsql(): Promise<Libsql> {
  try {
    const { default: libsql } = await import('libsql');
    return libsql as unknown as Libsql;
  } catch (cause) {
    throw needed(cause);
  }
}

/** A bundle holds the package without its native part, as an installation without optional dependencies does. */
const needed = (cause: unknown): Error =>
  storeUnavailable(
    'sqlite() needs the package libsql, which is not installed, or not for this machine ' +
      `(${(cause as Error).message}): npm install libsql, with optional dependencies (no --omit=optional). In a ` +
      'bundle: declare libsql external in your bundler (esbuild: --external:libsql), and install it where the bundle ' +
      'runs: npm install libsql',
    cause,
  );
