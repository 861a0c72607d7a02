/** Turns SQLite's errors into errors that name the file and say what to do. */
import { SojournError, storeAway, storeRefused, storeWithoutRoom } from '../../errors.ts';
import { shown } from '../../base/shown.ts';

/** Primary result codes; extended codes have theirs in the low byte. https://sqlite.org/rescode.html */
const BUSY = 5;
const FULL = 13;

const EXPLAINED: Readonly<Record<number, string>> = {
  8: 'it cannot be written; this process needs write permission for the file, its -wal and -shm, and their directory',
  10: 'the disk failed while reading or writing it; look at the log of the machine',
  11: 'it is damaged; move it away with its -wal and -shm to start empty, or put a backup in its place',
  13: 'its disk is full; make room on it. Nothing of the refused write was kept',
  14: 'it could not be opened; this process needs permission for the file and to write in its directory',
  26: 'it is not a SQLite database, or its first page is damaged; name another file, or put a backup in its place',
};

/** An operator must change something. */
const LASTING: readonly number[] = [8, 11, 14, 26];

function resultCode(error: unknown): number | undefined {
  const { rawCode, message } = error as { readonly rawCode?: unknown; readonly message?: unknown };
  if (typeof rawCode === 'number') return rawCode & 0xff;
  // A failure to open the file has its code only in the text: `ConnectionFailed("…: 14")`.
  if (typeof message !== 'string' || !message.startsWith('ConnectionFailed(')) return undefined;
  const code = parseInt(message.slice(message.lastIndexOf(': ') + 2), 10);
  return code > 0 ? code & 0xff : undefined;
}

/** Another process is writing. */
export const isBusy = (error: unknown): boolean => resultCode(error) === BUSY;

/** The disk has no room for the write. */
export const isFull = (error: unknown): boolean => resultCode(error) === FULL;

/** No write can be stored now, whatever it holds. */
export const refusesAll = (error: unknown): boolean =>
  error instanceof SojournError && error.code === 'STORE_AWAY' && resultCode(error.cause ?? {}) === undefined;

/** An error of SQLite or of the system as a store error; other errors unchanged. */
export function storeFailure(path: string, error: unknown): Error {
  const code = resultCode(error);
  if (!(error instanceof Error)) return new Error(String(error));
  if ('syscall' in error) return storeAway(`${path}: the system refuses it (${error.message})`, error);
  if (code === undefined) return error;
  const { message } = error;
  const failure = LASTING.includes(code) ? storeRefused : code === FULL ? storeWithoutRoom : storeAway;
  return failure(`${path}: ${EXPLAINED[code] ?? 'SQLite refused'} (${message})`, error);
}

export const storeLocked = (path: string, ms: number): Error =>
  storeAway(
    `${path} has been locked by another process for ${ms} ms; find out which one (a shell, a backup, a copy), or ` +
      'whether its disk does not answer: an instance locks the file while it copies the log',
  );

export const diskStalled = (path: string, ms: number): Error =>
  storeAway(
    `${path} cannot be written, because its disk has not finished a copy of the write-ahead log for more than ` +
      `${ms} ms; look at the load of the disk and at the log of the machine. Nothing of the refused write was kept`,
  );

/** A log message. */
export const logDiskStalled = (path: string, ms: number): string =>
  `The disk of ${path} has not finished a copy of the write-ahead log for ${ms} ms; writes may fail until it does. Look at the load ` +
  'of the disk and at the log of the machine';

/** A log message. */
export const logDiskAnswers = (path: string, ms: number): string =>
  `The disk of ${path} answers again; copying the write-ahead log took ${Math.round(ms)} ms`;

/** A log message. */
export const logLogKept = (path: string): string =>
  `${path} was closed without copying its write-ahead log into it, because its disk does not answer. Nothing is lost: ` +
  `keep ${path}-wal, the next process that opens the file reads both`;

/** A log message. */
export const logHeldOpen = (path: string, bytes: number): string =>
  `${path}-wal has ${Math.round(bytes / 1_048_576)} MiB and grows, because another program keeps a read ` +
  `transaction on ${path} open. Find the program with lsof ${path} (a shell, a backup, a copy) and end it`;

export const newerFormat = (path: string, found: number, known: number): Error =>
  storeRefused(
    `${path} was made or changed by a newer version of sojourn (format ${found}, this one reads ${known}); ` +
      'start the newer version, or name another file',
  );

export const foreignDatabase = (path: string): Error =>
  storeRefused(`${path} is a SQLite database of another program; name another file for the sessions`);

/** The system says in `cause` what is missing. */
export const cannotBeMade = (path: string, cause: Error): Error =>
  storeRefused(
    `${path} cannot be made; create its directory, let this process write there, or name another file (${cause.message})`,
    cause,
  );

export const notAFile = (path: string): Error =>
  storeRefused(`${path} is not a file; name the file that the sessions are to be kept in, e.g. ${path}/sessions.db`);

export const noWal = (path: string, mode: unknown): Error =>
  storeRefused(
    `${path}: its file system cannot share memory between processes (journal_mode stays ${String(mode)} instead of ` +
      'wal); put it on a local disk of this machine',
  );

export const fileGone = (path: string): Error =>
  storeAway(
    `${path} or its -wal was deleted or replaced while this process has it open. Nothing more is written, because no ` +
      'other process would see it. Put both files back, or restart this process: it uses the file that it then finds, ' +
      'and the sessions of the deleted file are lost. Find out what removed it (a cleaner of temporary files, git ' +
      'clean, a deploy), and keep the file where it is left alone',
  );

export const pathTooLong = (path: string, socket: string, most: number): Error =>
  storeRefused(
    `${path}: the socket of this instance beside it would have a path of ${Buffer.byteLength(socket)} bytes, and ` +
      `systems allow ${most}; put the database where its path is shorter`,
  );

export const unsafeSocket = (id: string, socket: string, why: string): Error =>
  storeAway(`no message is sent to instance ${shown(id)}: its mailbox ${socket} is not safe: ${why}`);

export const unsafeFile = (path: string, why: string): Error =>
  storeRefused(
    `${path} is not used, because another user could read or change the sessions: ${why}. Look who put it there; move ` +
      'it away, or chown it to the user of this process',
  );

/** A log message. */
export const logOpenFolder = (path: string, why: string): string =>
  `Other users can replace ${path} and the files beside it, and with them the sessions: the folder is open to them, as ` +
  `${why}. Where they are not trusted, keep the file in a folder of this process alone (chmod 700)`;
