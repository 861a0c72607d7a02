/** Turns errors of PostgreSQL and of the connection to it into store errors that name the server and say what to do. */
import {
  SojournError,
  internal,
  storeUnavailable,
  storeRefused,
  storeWithoutRoom,
} from 'sojourn/internal';

/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
const EXPLAINED: Readonly<Record<string, string>> = {
  '25006': 'it takes no writes: it is a standby, or was made read-only; name the primary',
  '28000': 'it does not let this user in; look at its pg_hba.conf and at the user',
  '28P01': 'the password is wrong',
  '3D000': 'the database does not exist; create it, or name another',
  '42501': 'this user may not do that; see the permissions that docs/stores/postgres.md lists',
  '53100': 'its disk is full; make room on it. Nothing of the refused write was kept',
  '53300':
    'it has no connection left; raise max_connections, or have fewer instances or a smaller pool',
};

const FULL = '53100';

/** An operator must change something. */
const LASTING: readonly string[] = ['28000', '28P01', '3D000', '42501'];

/** The SQLSTATE of an error of `pg`, or of the store error about it: five characters. Node's codes have more. */
function sqlState(error: unknown): string | undefined {
  const { code } = (error instanceof SojournError ? (error.cause ?? {}) : error) as {
    readonly code?: unknown;
  };
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && !/^E[A-Z]{4}$/.test(code)
    ? code
    : undefined;
}

/** The error ends the connection. */
export const isFatal = (error: unknown): boolean =>
  sqlState(error) === undefined ||
  ['FATAL', 'PANIC'].includes(String((error as { readonly severity?: unknown }).severity)) ||
  // The server has become a standby, or the next connection makes the tables again.
  sqlState(error) === '25006' ||
  isSchemaGone(error);

/** The tables are missing: they were dropped, or the server came back with empty data. */
export const isSchemaGone = (error: unknown): boolean =>
  ['42P01', '3F000', '42883'].includes(sqlState(error) ?? '');

/** Another process makes the same schema at this moment. */
export const isOvertaken = (error: unknown): boolean =>
  ['23505', '42P06', '42P07', '42710', '42723', 'XX000', '40P01'].includes(sqlState(error) ?? '');

/** The user lacks the right to create or change the schema. */
export const isForbidden = (error: unknown): boolean => sqlState(error) === '42501';

/** Converts an error of `pg` to a store error; store errors stay as they are. */
export function storeFailure(place: string, error: unknown): Error {
  if (error instanceof SojournError) return error;
  const state = sqlState(error);
  // Node joins the errors of several addresses into one error without a message.
  const [first = error] = (error as { readonly errors?: readonly unknown[] }).errors ?? [];
  const message = first instanceof Error ? first.message : String(first);
  // `pg` gives this error no code.
  if (message.includes('client password must be'))
    return storeRefused(
      `${place}: it asks for a password; put it into the URL (${message})`,
      error,
    );
  if (state === undefined)
    return storeUnavailable(`${place}: ${message === '' ? String(error) : message}`, error);
  // The server rejects the data or the statement: a retry cannot help.
  if (EXPLAINED[state] === undefined && /^(22|23|42|54)/.test(state) && !isSchemaGone(error))
    return internal(error);
  const failure = LASTING.includes(state)
    ? storeRefused
    : state === FULL
      ? storeWithoutRoom
      : storeUnavailable;
  return failure(`${place}: ${EXPLAINED[state] ?? 'it refused'} (${message}, ${state})`, error);
}

export const connectionLost = (place: string, cause?: unknown): Error =>
  storeUnavailable(
    `${place}: the connection was lost${cause instanceof Error ? ` (${cause.message})` : ''}`,
    cause,
  );

/** `seen`: the observation that shows the pooler. */
export const pooled = (place: string, seen: string): Error =>
  storeRefused(
    `${place} is not the server itself but a pooler that gives each transaction another connection (${seen}). With ` +
      'transaction pooling (PgBouncer, pgcat, Supavisor, RDS Proxy) LISTEN hears nothing and session locks leak: ' +
      'give the store the URL of the server itself, or of a pooler in session mode',
  );
