/** What is away for now: the store, a lease, a hook, this instance. The same request may succeed later. */
import { SojournError, type StoreProblem, unavailable } from './sojourn-error.ts';

/** The error of a request that was refused before it ran: its client may send it again. */
export function beforeItRan(error: SojournError): SojournError {
  const { code, message, status, data, headers, body, retryable, cause } = error;
  if (status !== 503 || data?.['mayHaveRun'] !== undefined) return error;
  const refused = { ...data, mayHaveRun: false };
  return new SojournError(code, message, {
    status,
    data: refused,
    headers,
    body,
    retryable,
    cause,
  });
}

const storeUnusable = (how: string, storeProblem: StoreProblem, cause: unknown): SojournError =>
  unavailable('STORE_UNAVAILABLE', `the session store ${how} (${storeProblem.what})`, {
    cause,
    storeProblem,
  });

export const storeUnavailable = (what: string, cause?: unknown): SojournError =>
  storeUnusable('cannot be reached', { what, lasting: false }, cause);

/** The store was reached and cannot be used until an operator changes something. */
export const storeRefused = (what: string, cause?: unknown): SojournError =>
  storeUnusable('cannot be used', { what, lasting: true }, cause);

const MIB = 1_048_576;
/** What the kinds of records are to the user. */
const FILLED_BY: Readonly<Record<string, string>> = {
  sessions: 'sessions and their events',
  tasks: 'tasks and their steps',
  results: 'long results',
  once: 'keys of once()',
};

/**
 * For the user whose records they are. `numbers`: bytes by the names of their kinds. `most`: how much the store keeps of
 * this user. `byOthers`: because of what it keeps of other users.
 */
export function keptFull(
  numbers: Readonly<Record<string, number>>,
  most: number,
  byOthers: boolean,
): SojournError {
  const filled = Object.entries(numbers).filter(([, bytes]) => bytes > 0);
  const parts = filled.map(([name, bytes]) => `${FILLED_BY[name] ?? name} ${sizeText(bytes)}`);
  const kept = parts.length > 0 ? ` (${parts.join(', ')})` : '';
  const left =
    'limits.userShare of what others leave free of limits.storeBytes or of the room that the store reports';
  const text = byOthers
    ? `other users fill the store, so it keeps ${sizeText(most)} of this user at most${kept}: ${left}`
    : `the store keeps as much of this user as it may, ${sizeText(most)}${kept}: limits.perUser.keptBytes, or ${left}`;
  return unavailable(
    'STORE_FULL',
    `${text}. Room comes back as sessions end, and tasks and keys of once() pass their keep time`,
  );
}

const sizeText = (bytes: number): string =>
  bytes < MIB / 10 ? `${(bytes / 1_024).toFixed(1)} KiB` : `${(bytes / MIB).toFixed(1)} MiB`;

/** The store was reached and has no room for the write. */
export const storeWithoutRoom = (what: string, cause?: unknown): SojournError =>
  storeUnusable('cannot be reached', { what, lasting: false, isFull: true }, cause);

/** The store keeps no more of this user. */
export const isStoreFull = (cause: unknown): boolean =>
  cause instanceof SojournError && cause.code === 'STORE_FULL';

/** A write found no room: its store or its user has as much as it may. */
export const findsNoRoom = (cause: unknown): boolean =>
  isStoreFull(cause) || (cause instanceof SojournError && cause.storeProblem?.isFull === true);

/** The error that a handler gets. The handler may pass it on to its client. */
export const storeUnavailableForClients = (what: string, cause: unknown): unknown =>
  cause instanceof SojournError && cause.code === 'STORE_UNAVAILABLE'
    ? storeUnavailable(what, cause)
    : cause;

export const leaseLost = (): SojournError =>
  unavailable('LEASE_LOST', 'this instance lost its lease and is taking a new one; try again');

/** For the log of this instance: which peer, and the likely causes (`cluster/links.ts`). */
export const ownerUnreachable = (): SojournError =>
  unavailable(
    'OWNER_UNREACHABLE',
    'the instance with this session does not answer this one; try again later, and tell the ' +
      'operator, whose log names the cause',
  );

export const restoreFailed = (cause?: unknown): SojournError =>
  unavailable(
    'RESTORE_FAILED',
    'this instance could not rebuild the session; the session is kept, try again',
    {
      cause,
    },
  );

export const migrationFailed = (cause?: unknown): SojournError =>
  unavailable(
    'MIGRATION_FAILED',
    'the sessionMigrationHandler failed; the session is kept, try again',
    { cause },
  );

export const hookTimeout = (hook: string, ms: number): SojournError =>
  unavailable('HOOK_TIMEOUT', `${hook} did not return within ${ms} ms (hookTimeoutMs); try again`);

export const draining = (): SojournError => unavailable('DRAINING', 'this instance is draining');

export const closedEndpoint = (): SojournError =>
  unavailable('ENDPOINT_CLOSED', 'this endpoint is closed');
