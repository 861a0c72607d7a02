/**
 * Who else of this machine could change the files of the store. Another user who can write the database, or who owns a
 * socket, could act as any client. Windows has no such modes, and nothing is checked there.
 */
import { lstatSync, statSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';

const GROUP_OR_OTHERS_WRITE = 0o022;
const OTHERS_WRITE = 0o002;
const OTHERS_READ = 0o004;
const PRIVATE_FOLDER = 0o700;
const MODE = 0o777;
const ROOT = 0;

type Owned = Pick<Stats, 'uid' | 'mode'>;

/** `undefined` on Windows. */
export function processUser(): number | undefined {
  return process.geteuid?.();
}

/** Why a database must not be opened by a process of this user; `undefined`: it may. */
export function databaseDanger({ uid, mode }: Owned, user: number): string | undefined {
  if (uid !== user && uid !== ROOT && user !== ROOT)
    return `it belongs to another user (${uid}, this process is ${user})`;
  if ((mode & OTHERS_WRITE) !== 0) return 'every user of this machine can write it; run chmod 600 on it';
  return undefined;
}

/** Who else can read the sessions, for a warning. */
export function isReadByOthers({ mode }: Pick<Stats, 'mode'>): boolean {
  return (mode & OTHERS_READ) !== 0;
}

/**
 * Why messages must not be sent to this socket; `undefined`: they may, or there is no file. The folder of a socket that
 * is not beside the database must be private.
 */
export function socketDanger(database: string, path: string): string | undefined {
  const user = processUser();
  const socket = lstatSync(path, { throwIfNoEntry: false });
  if (user === undefined || socket === undefined) return undefined;
  if (socket.isSymbolicLink()) return 'it is a symbolic link';
  if (!socket.isSocket()) return 'it is not a socket';
  const users = [user, statSync(database, { throwIfNoEntry: false })?.uid];
  if (!users.includes(socket.uid)) return `it belongs to another user (${socket.uid})`;
  if ((socket.mode & GROUP_OR_OTHERS_WRITE) !== 0) return 'other users can write to it';
  if (dirname(path) === dirname(database)) return undefined;
  const folder = lstatSync(dirname(path), { throwIfNoEntry: false });
  if (folder?.isDirectory() !== true) return 'its folder is not a real folder';
  if (!users.includes(folder.uid)) return `its folder belongs to another user (${folder.uid})`;
  return (folder.mode & MODE) === PRIVATE_FOLDER ? undefined : 'its folder is open to other users';
}
