/**
 * Paths of sockets. Systems allow a socket's path 104 to 108 bytes, and libuv cuts longer ones without an error; the
 * path of a database may have more. A socket with a long path is bound and connected through a short name of its folder
 * that exists for this one call: its file is beside the database all the same, where the permissions of the folder
 * cover both, and every process that opens the database finds it.
 */
import {
  closeSync,
  constants,
  existsSync,
  mkdtempSync,
  openSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { digestText } from '../../base/digest.ts';

const PATH_BYTES = 103;
/** A longer name of a database is not repeated in that of a socket: a short folder needs 66 bytes on macOS. */
const NAME_BYTES = 20;
/** 48 bits: unique among the instances of a file, and among the files of a folder. */
const DIGEST_CHARACTERS = 8;
/** The open folders of this process, where the system has them: on Linux. */
const OPEN_FOLDERS = '/proc/self/fd';

/** The socket of an instance. Processes that see the folder under other paths find the same name. */
export function socketPathOf(database: string, deployment: string, id: string): string {
  const own = digestText(JSON.stringify([deployment, id])).slice(0, DIGEST_CHARACTERS);
  if (process.platform === 'win32') return `\\\\.\\pipe\\sojourn-${own}`;
  const name = basename(database);
  const isShort = Buffer.byteLength(name) <= NAME_BYTES;
  const file = isShort ? name : digestText(name).slice(0, DIGEST_CHARACTERS);
  return join(dirname(database), `${file}-${own}.sock`);
}

/**
 * Calls `use` with a path that a socket may have. The path is valid only until `use` returns.
 * @throws what the system says where it gives no short name, and what `use` throws.
 */
export function withShortPath<T>(
  path: string,
  use: (path: string) => T,
  openFolders = OPEN_FOLDERS,
): T {
  if (Buffer.byteLength(path) <= PATH_BYTES) return use(path);
  const folder = dirname(path);
  if (existsSync(openFolders)) {
    const descriptor = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      return use(join(openFolders, String(descriptor), basename(path)));
    } finally {
      closeSync(descriptor);
    }
  }
  // No other user can write in it, or knows its name before.
  const own = mkdtempSync(join(tmpdir(), 'sojourn-'));
  const link = join(own, 'd');
  try {
    symlinkSync(folder, link);
    const short = join(link, basename(path));
    if (Buffer.byteLength(short) > PATH_BYTES)
      throw new Error(`${short} is too long for a socket; set TMPDIR to a shorter folder`);
    return use(short);
  } finally {
    if (existsSync(link)) unlinkSync(link);
    rmdirSync(own);
  }
}
