/**
 * A session lock that only this process ever takes, under a random key: whoever holds it while we do not is an earlier
 * connection of ours whose end the server has not noticed (a cut network, a frozen server that still has our statement to
 * do). It is ended; once we have the lock nothing that was asked for over it lands any more.
 */
import type { RandomSource } from '../../options/system.ts';
import type { Connection } from './connection.ts';
import { connectionStatements } from './connection-statements.ts';

const KEY_BYTES = 8;

/** As text: `pg` would round a number. */
export function newLockKey(random: RandomSource): string {
  return Buffer.from(random(KEY_BYTES)).readBigInt64BE().toString();
}

export async function takeOwnLock(connection: Connection, key: string): Promise<void> {
  const { rows } = await connection.query(connectionStatements.lock, [key]);
  if (rows[0]?.[0] === 't') return;
  await connection.query(connectionStatements.endHolder, [key]);
  await connection.query(connectionStatements.waitForLock, [key]);
}

/** Before its connection ends: where a pooler keeps the server's side of it, the lock would stay. */
export async function giveBackLock(connection: Connection, key: string): Promise<void> {
  await connection.query(connectionStatements.unlock, [key]).catch(() => undefined);
}
