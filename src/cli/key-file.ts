/** `--auth-keys`: a file with the keys of callers. The file has digests, so a copy of it opens nothing. */
import { readFileSync } from 'node:fs';
import { orUndefined } from '../base/or-undefined.ts';
import { digestOf } from '../base/digest.ts';
import type { VerifyToken } from '../base/options/auth-options.ts';
import { UsageError } from './failure.ts';

/** `ann 9f86d0…`; `printf %s "$KEY" | sha256sum` prints the digest. */
const LINE = /^(\S{1,256})\s+([\da-f]{64})$/i;

/** The functions that `keysIn` made, and their files. */
const files = new WeakMap<VerifyToken, string>();

/** The file of the keys that this function accepts; `undefined`: it is the module's. */
export const keyFileOf = (verify: VerifyToken): string | undefined => files.get(verify);

/** Accepts the keys of the file. A digest is looked up, which takes no time that tells of a key. */
export function keysIn(file: string): VerifyToken {
  const text = orUndefined(() => readFileSync(file, 'utf8'));
  if (text === undefined) throw new UsageError(`--auth-keys ${file} cannot be read`);
  const users = new Map<string, string>();
  for (const [n, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const [, user, digest] = LINE.exec(line.trim()) ?? [];
    if (user === undefined || digest === undefined)
      throw new UsageError(
        `--auth-keys ${file}, line ${n + 1}: write a user, a blank, and the SHA-256 of the key in hex`,
      );
    users.set(digest.toLowerCase(), user);
  }
  if (users.size === 0) throw new UsageError(`--auth-keys ${file} has no key`);
  const verify: VerifyToken = (token) => {
    const user = users.get(digestOf(token).toString('hex'));
    if (user === undefined) return undefined;
    return { token, clientId: user, scopes: [], expiresAt: Infinity, extra: { sub: user } };
  };
  files.set(verify, file);
  return verify;
}
