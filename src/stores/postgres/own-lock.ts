/**
 * A session lock under a random key, which only this process uses. If the lock is taken when a new connection asks for
 * it, the holder is an earlier connection of this process that the server still considers open: after a cut network, or
 * on a frozen server with a statement still to run. The new connection ends that holder. Once it has the lock, no
 * statement of the earlier connection can take effect.
 */
import type { RandomSource } from '../../options/system.ts';
import type { Connection } from './connection.ts';
import { connectionStatements } from './connection-statements.ts';

const KEY_BYTES = 8;

/** A text, because `pg` would round a number. */
export function newLockKey(random: RandomSource): string {
  return Buffer.from(random(KEY_BYTES)).readBigInt64BE().toString();
}

export async function takeOwnLock(connection: Connection, key: string): Promise<void> {
  const { rows } = await connection.query(connectionStatements.lock, [key]);
  if (rows[0]?.[0] === 't') return;
  await connection.query(connectionStatements.endHolder, [key]);
  await connection.query(connectionStatements.waitForLock, [key]);
}

/** Before its connection closes: behind a pooler that keeps the server process, the lock would remain. */
export async function giveBackLock(connection: Connection, key: string): Promise<void> {
  await connection.query(connectionStatements.unlock, [key]).catch(() => undefined);
}
