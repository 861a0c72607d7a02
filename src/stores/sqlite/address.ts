/**
 * The address of an instance's mailbox. It is a socket beside the database, so that the permissions of the folder cover
 * both. If that path is too long, it is a socket in a new folder under the system's temporary folder. On Windows it is
 * a named pipe (written, never run).
 */
import { mkdtempSync, rmSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, sep } from 'node:path';
import { storeAway } from '../../errors.ts';
import { base64url, type RandomSource } from '../../options/system.ts';

/** Systems allow 104 to 108 bytes, and libuv cuts longer paths without an error. */
const PATH_BYTES = 100;
/** 48 bits, written as eight characters: unique among the instances of a file. */
const NAME_BYTES = 6;
const FOLDER = 'sojourn-';
const SUFFIX = '.sock';

/**
 * As stored in the lease. A bare name is relative to the database, because processes may see the file under different
 * paths.
 */
export function mailboxAddress(database: string, random: RandomSource): string {
  const name = base64url(random(NAME_BYTES));
  if (process.platform === 'win32') return `\\\\.\\pipe\\sojourn-${name}`;
  const beside = `${basename(database)}-${name}${SUFFIX}`;
  if (fits(addressPath(database, beside))) return beside;
  const elsewhere = join(mkdtempSync(join(tmpdir(), FOLDER)), `${name}${SUFFIX}`);
  if (fits(elsewhere)) return elsewhere;
  rmdirSync(dirname(elsewhere));
  throw storeAway(
    `${database}: no place for the socket of this instance: beside it and in ${tmpdir()} its path has more than ` +
      `${PATH_BYTES} bytes; put the database where its path is shorter, or set TMPDIR`,
  );
}

export function addressPath(database: string, address: string): string {
  return address.includes(sep) ? address : join(dirname(database), address);
}

const fits = (path: string): boolean => Buffer.byteLength(path) <= PATH_BYTES;

/** Call it for a dead instance only: no process may listen on this path. */
export function removeSocket(path: string): void {
  if (process.platform === 'win32') return;
  rmSync(path, { force: true });
  const folder = dirname(path);
  if (!folder.startsWith(join(tmpdir(), FOLDER))) return;
  try {
    rmdirSync(folder);
  } catch {
    // The folder is gone already, or has other files.
  }
}
