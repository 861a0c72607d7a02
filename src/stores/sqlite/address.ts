/**
 * Where an instance's mailbox listens: a socket beside the database, so that whoever may use the one may use the other.
 * Where its path would be too long, in a folder of its own in the system's temporary one. On Windows a named pipe (written,
 * not run).
 */
import { mkdtempSync, rmSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, sep } from 'node:path';
import { storeAway } from '../../errors.ts';
import { base64url, type RandomSource } from '../../options/system.ts';

/** Systems take 104 to 108 bytes; libuv cuts off longer ones in silence. */
const PATH_BYTES = 100;
/** 48 bits: eight characters that no other instance of the file has. */
const NAME_BYTES = 6;
const FOLDER = 'sojourn-';
const SUFFIX = '.sock';

/** As it stands in the lease: a name is one beside the database, wherever a process sees that. */
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

/** Of an instance that is dead, so that nobody will listen there again. */
export function removeSocket(path: string): void {
  if (process.platform === 'win32') return;
  rmSync(path, { force: true });
  const folder = dirname(path);
  if (!folder.startsWith(join(tmpdir(), FOLDER))) return;
  try {
    rmdirSync(folder);
  } catch {
    // Gone, or somebody put something into it.
  }
}
