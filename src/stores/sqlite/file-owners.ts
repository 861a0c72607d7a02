/**
 * Who else of this machine could change the files of the store. Another user who can write the database, or who owns a
 * socket, could act as any client. Windows has no such modes, and nothing is checked there.
 */
import { chmodSync, lstatSync, statSync, type Stats } from 'node:fs';
import { orUndefined } from '../../base/or-undefined.ts';

const GROUP_WRITE = 0o020;
const OTHERS_WRITE = 0o002;
const GROUP_OR_OTHERS_WRITE = GROUP_WRITE | OTHERS_WRITE;
const OTHERS = 0o007;
const STICKY = 0o1000;
const MODE = 0o777;
const ROOT = 0;

type Owned = Pick<Stats, 'uid' | 'mode'>;

/** `undefined` on Windows. */
export function processUser(): number | undefined {
  return process.geteuid?.();
}

/**
 * Why a file must not be used by a process of this user; `undefined`: it may, or there is none. `file`: the database,
 * or a file beside it. Another user may have planted it, or a link in its place, wherever that user may create files.
 */
export function fileDanger(file: string, user: number): string | undefined {
  const entry = lstatSync(file, { throwIfNoEntry: false });
  if (entry === undefined) return undefined;
  const found = entry.isSymbolicLink() ? orUndefined(() => statSync(file)) : entry;
  if (found === undefined) return 'it is a link to a file that does not exist or cannot be seen';
  for (const { uid } of [entry, found])
    if (!isTrusted(uid, user))
      return `it belongs to another user (${uid}, this process is ${user})`;
  return (found.mode & OTHERS_WRITE) === 0
    ? undefined
    : 'every user of this machine can write it; run chmod 600 on it';
}

/** Root can change every file anyway. */
const isTrusted = (uid: number, user: number): boolean => uid === user || uid === ROOT;

/** Takes the rights of other users away; those of the group stay. `false`: they cannot be changed. */
export function closeToOthers(file: string): boolean {
  const mode = statSync(file, { throwIfNoEntry: false })?.mode ?? 0;
  if ((mode & OTHERS) === 0) return true;
  try {
    chmodSync(file, mode & MODE & ~OTHERS);
    return true;
  } catch {
    return false;
  }
}

/**
 * Who else can replace the files of a folder, for a warning: volumes of containers often are such. In a folder with the
 * sticky bit, such as /tmp, users can only create files.
 */
export function folderDanger(
  { uid, gid, mode }: Owned & Pick<Stats, 'gid'>,
  user: number,
): string | undefined {
  if (!isTrusted(uid, user)) return `it belongs to another user (${uid}, this process is ${user})`;
  if ((mode & STICKY) !== 0) return undefined;
  if ((mode & OTHERS_WRITE) !== 0) return 'every user of this machine can write in it';
  // On many systems each user has a group of the same number, and no other user is in it.
  const ownGroup = uid === user && gid === uid;
  return (mode & GROUP_WRITE) === 0 || ownGroup ? undefined : `the group ${gid} can write in it`;
}

/**
 * Why messages must not be sent to this socket; `undefined`: they may, or there is no file. Where a user may write in
 * the folder, another socket may be in its place.
 */
export function socketDanger(database: string, path: string): string | undefined {
  const user = processUser();
  const socket = lstatSync(path, { throwIfNoEntry: false });
  if (user === undefined || socket === undefined) return undefined;
  if (!socket.isSocket()) return 'it is not a socket';
  const users = [user, statSync(database, { throwIfNoEntry: false })?.uid];
  if (!users.includes(socket.uid)) return `it belongs to another user (${socket.uid})`;
  return (socket.mode & GROUP_OR_OTHERS_WRITE) === 0 ? undefined : 'other users can write to it';
}
