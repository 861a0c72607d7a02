/** Turns errors of NATS and its client into errors that name the server and say what to do. */
import { SojournError, storeAway, storeRefused } from '../../errors.ts';

/** `err_code` of JetStream's answers. https://github.com/nats-io/nats-server/blob/main/server/errors.json */
export const CODES = {
  noMessage: 10037,
  sequenceNotFound: 10043,
  deleteFailed: 10057,
  streamExists: 10058,
  streamNotFound: 10059,
  subjectsOverlap: 10065,
  wrongLastSequence: 10071,
  wrongLastSequenceUnknown: 10164,
} as const;

const EXPLAINED: Readonly<Record<number, string>> = {
  10002: 'JetStream needs more memory or storage than its account may use; raise the limits of the account',
  10005: 'there are fewer servers in the cluster than replicas are asked for; ask for fewer, or start more servers',
  10008: 'JetStream has no leader at the moment',
  10009: 'no server of the cluster answers for this stream at the moment',
  10023: 'its JetStream storage is full; nothing of the refused write was kept. Give it more room',
  10028: 'its JetStream storage is full; nothing of the refused write was kept. Give it more room',
  10039: 'JetStream is not enabled for this account; enable it, or use another account',
  10047: 'its JetStream storage is full; nothing of the refused write was kept. Give it more room',
  10054: 'a message is larger than the stream takes (max_msg_size); take that limit off the stream',
  10074: 'there are fewer servers in the cluster than replicas are asked for; ask for fewer, or start more servers',
  10076: 'JetStream is not enabled; start the server with -js, or enable it in its configuration',
  10077: 'a limit of the stream is reached (max_bytes, max_msgs); nothing of the refused write was kept. Raise it',
  10113: 'this account requires a size for each stream (max_bytes_required); give the store the option maxBytes',
};

/** The id of a record, or its group, ends its subject, and the id of a session gives access to it. */
const RECORD_ID = /((?:_records|\.log|\.part|\.place)(?:\.[^\s.'"]+){2}\.)[^\s'"]+/g;

const withoutIds = (text: string): string => text.replaceAll(RECORD_ID, '$1*');

/** The same error without ids, because log lines show the cause of an error. */
function causeWithoutIds(error: unknown): unknown {
  const { message, name } = error as { readonly message?: unknown; readonly name?: unknown };
  if (typeof message !== 'string' || withoutIds(message) === message) return error;
  return Object.assign(new Error(withoutIds(message)), { name: String(name), stack: undefined });
}

/** An operator must change something. */
const LASTING: readonly number[] = [10039, 10076, 10113];

/** The storage of the account or of the server is full, and not only a stream. */
export const STORAGE_FULL: ReadonlySet<number | undefined> = new Set([10002, 10023, 10028, 10047]);

export interface ApiError {
  readonly code: number;
  readonly err_code?: number;
  readonly description?: string;
}

export function apiFailure(where: string, what: string, { code, err_code: errCode, description }: ApiError): Error {
  const said = `${description ?? 'no description'}, ${errCode ?? code}`;
  const failure = LASTING.includes(errCode ?? 0) ? storeRefused : storeAway;
  return failure(`${where}: ${EXPLAINED[errCode ?? 0] ?? `${withoutIds(what)} was refused`} (${said})`);
}

export function natsFailure(where: string, error: unknown): Error {
  if (error instanceof SojournError) return error;
  const { message, name } = error as { readonly message?: unknown; readonly name?: unknown };
  if (name === 'AuthorizationError' || name === 'UserAuthenticationExpiredError') {
    return storeRefused(
      `${where}: the server refused the login; put the right user and password, or token, into the URL`,
      error,
    );
  }
  const text = typeof message === 'string' && message !== '' ? message : String(error);
  return storeAway(`${where}: ${withoutIds(text)}`, causeWithoutIds(error));
}

export const tooMuchWaiting = (where: string, bytes: number): Error =>
  storeAway(`${where} is overloaded: ${bytes} bytes wait to be stored, and further messages are refused`);

export const silentServer = (where: string): Error =>
  storeAway(`${where} has stopped answering; the store keeps asking`);

export const disconnected = (where: string): Error =>
  storeAway(`${where}: the connection is lost; the client reconnects`);

export const clientClosed = (where: string): Error =>
  storeAway(`${where}: the connection that the store was given is closed; keep it open as long as the endpoint`);

export const forbidden = (where: string, subject: string, cause: unknown): Error =>
  storeRefused(
    `${where}: this user may not use ${withoutIds(subject)}; the page of the NATS store lists the subjects that are needed`,
    causeWithoutIds(cause),
  );

export const unanswered = (where: string, subject: string): Error =>
  storeAway(
    `${where}: ${withoutIds(subject)} has no listener: JetStream is not enabled (start the server with -js), is still ` +
      'starting, or has no leader at the moment',
  );

export const olderServer = (where: string, found: string): Error =>
  storeRefused(`${where} is NATS ${found}; 2.9 or later is needed`);

export const unfitStream = (where: string, stream: string, why: string): Error =>
  storeRefused(`${where}: the stream ${stream} exists and does not fit: ${why}. Change it, or name another prefix`);

export const newerValue = (where: string, what: string, found: unknown, known: number): Error =>
  storeRefused(
    `${where}: ${what} was written by a newer version of sojourn (${String(found)}, this one reads up to ${known})`,
  );

export const unreadable = (where: string, what: string, cause?: unknown): Error =>
  storeRefused(`${where}: ${what} is not what sojourn wrote; another program uses this prefix`, cause);

export const contended = (where: string, what: string): Error =>
  storeAway(`${where}: ${what} is changed by other processes all the time`);
