/** Turns SQLite's errors into errors that name the file and say what to do. */
import {
  SojournError,
  storeUnavailable,
  storeRefused,
  storeWithoutRoom,
} from '../../base/errors.ts';

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
  error instanceof SojournError &&
  error.code === 'STORE_UNAVAILABLE' &&
  resultCode(error.cause ?? {}) === undefined;

/** An error of SQLite or of the system as a store error; other errors unchanged. */
export function storeFailure(path: string, error: unknown): Error {
  const code = resultCode(error);
  if (!(error instanceof Error)) return new Error(String(error));
  if ('syscall' in error)
    return storeUnavailable(`${path}: the system refuses it (${error.message})`, error);
  if (code === undefined) return error;
  const { message } = error;
  const failure = LASTING.includes(code)
    ? storeRefused
    : code === FULL
      ? storeWithoutRoom
      : storeUnavailable;
  return failure(`${path}: ${EXPLAINED[code] ?? 'SQLite refused'} (${message})`, error);
}

export const unsafeFile = (path: string, why: string): Error =>
  storeRefused(
    `${path} is not used, because another user could read or change the sessions: ${why}. Look who put it there; move ` +
      'it away, or chown it to the user of this process',
  );
