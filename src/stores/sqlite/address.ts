/**
 * The address of an instance's mailbox. It is a socket beside the database, so that the permissions of the folder cover
 * both. If that path is too long, it is a socket in a new folder under the system's temporary folder. On Windows it is
 * a named pipe (written, never run).
 *
 * The leases of other instances name their addresses, and a process that can write the database could name any file
 * there. So an address is used only if it has one of these forms.
 */
import { lstatSync, mkdtempSync, rmSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, normalize } from 'node:path';
import { storeAway } from '../../errors.ts';
import { base64url, type RandomSource } from '../../base/system.ts';

/** Systems allow 104 to 108 bytes, and libuv cuts longer paths without an error. */
const PATH_BYTES = 100;
/** 48 bits, written as eight characters: unique among the instances of a file. */
const NAME_BYTES = 6;
const FOLDER = 'sojourn-';
const SUFFIX = '.sock';
/** Matches a socket in a folder that `mkdtemp` made. */
const ELSEWHERE = /^\/.*\/sojourn-\w{6}\/[\w-]{8}\.sock$/;
const BESIDE = /^-[\w-]{8}\.sock$/;
const PIPE = /^\\\\\.\\pipe\\sojourn-[\w-]{8}$/;

/**
 * The address that the lease holds. A bare name is relative to the database, because processes may see the file under
 * different paths.
 */
export function mailboxAddress(database: string, random: RandomSource): string {
  const name = base64url(random(NAME_BYTES));
  if (process.platform === 'win32') return `\\\\.\\pipe\\sojourn-${name}`;
  const beside = `${basename(database)}-${name}${SUFFIX}`;
  if (fits(join(dirname(database), beside))) return beside;
  const elsewhere = join(mkdtempSync(join(tmpdir(), FOLDER)), `${name}${SUFFIX}`);
  if (fits(elsewhere)) return elsewhere;
  rmdirSync(dirname(elsewhere));
  throw storeAway(
    `${database}: no place for the socket of this instance: beside it and in ${tmpdir()} its path has more than ` +
      `${PATH_BYTES} bytes; put the database where its path is shorter, or set TMPDIR`,
  );
}

/** `undefined`: no instance of this file has such an address. */
export function addressPath(database: string, address: string): string | undefined {
  if (process.platform === 'win32') return PIPE.test(address) ? address : undefined;
  const name = basename(database);
  if (address.startsWith(name) && BESIDE.test(address.slice(name.length))) return join(dirname(database), address);
  return ELSEWHERE.test(address) && normalize(address) === address ? address : undefined;
}

const fits = (path: string): boolean => Buffer.byteLength(path) <= PATH_BYTES;

/** Call it for a dead instance only: no process may listen on this path. Removes nothing but a socket. */
export function removeSocket(path: string): void {
  if (process.platform === 'win32') return;
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true) rmSync(path, { force: true });
  const folder = dirname(path);
  if (!basename(folder).startsWith(FOLDER) || !ELSEWHERE.test(path)) return;
  try {
    rmdirSync(folder);
  } catch {
    // The folder is gone already, or has other files.
  }
}
