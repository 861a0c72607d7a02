/**
 * The package `libsql`, loaded when the first file is opened, and types for the part of it that is used. Rows are
 * arrays, because row objects would have libsql's own `_metadata`.
 */
import { storeAway } from '../../errors.ts';

/** What can be bound and read. The type excludes booleans: libsql ends the process on one. */
export type Value = string | number | null | Uint8Array;

export interface LibsqlStatement {
  raw(on: boolean): LibsqlStatement;
  readonly reader: boolean;
  get(values: readonly Value[]): Value[] | undefined;
  all(values: readonly Value[]): Value[][];
  run(values: readonly Value[]): { readonly changes: number };
}

export interface LibsqlConnection {
  readonly inTransaction: boolean;
  prepare(sql: string): LibsqlStatement;
  exec(sql: string): void;
  close(): void;
}

export type Libsql = new (path: string, options: { readonly timeout: number }) => LibsqlConnection;

/** Runs its statements on another thread. */
export interface BackgroundConnection {
  exec(sql: string): Promise<void>;
  close(): void;
}

/** Each `import()` is in a `try`, where bundlers accept that a package is missing. */
export async function loadBackgroundLibsql(path: string, timeout: number): Promise<BackgroundConnection> {
  let libsql: unknown;
  try {
    ({ default: libsql } = await import('libsql/promise'));
  } catch (cause) {
    throw needed(cause);
  }
  const Background = libsql as new (file: string, options: { timeout: number }) => BackgroundConnection;
  return new Background(path, { timeout });
}

export async function loadLibsql(): Promise<Libsql> {
  try {
    const { default: libsql } = await import('libsql');
    return libsql as unknown as Libsql;
  } catch (cause) {
    throw needed(cause);
  }
}

/** A bundle holds the package without its native part, as an installation without optional dependencies does. */
function needed(cause: unknown): Error {
  const { code, message } = cause as { readonly code?: unknown; readonly message?: unknown };
  const native = /@libsql\/[\w-]+/.exec(String(message))?.[0];
  if (code !== 'ERR_MODULE_NOT_FOUND' && code !== 'MODULE_NOT_FOUND')
    return storeAway(
      `sqlite() needs the package libsql, which could not be loaded (${String(message)}): install it again, npm install ` +
        'libsql',
      cause,
    );
  if (native === undefined)
    return storeAway(
      'sqlite() needs the package libsql, which is not installed (it is optional): npm install libsql',
      cause,
    );
  return storeAway(
    `sqlite() needs the package libsql, which is here without ${native}, its native part for this machine. In a ` +
      'bundle: declare libsql external in your bundler (esbuild: --external:libsql), and install it where the bundle ' +
      'runs: npm install libsql. Otherwise: install again on this machine and with optional dependencies (no ' +
      '--omit=optional)',
    cause,
  );
}
