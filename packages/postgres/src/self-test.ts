/**
 * Tests that a connection leads to the server itself. A pooler that gives each transaction another server process
 * accepts `LISTEN` and session locks silently. Then no notification arrives and every lock is free: instances would
 * consider each other dead. Settings of such a connection would stay on the server process, which serves another
 * program next.
 *
 * So the store checks which process answers before it changes any setting (`refusePooler`). Later it tests the two
 * connections that it keeps (`testListening`).
 */
import { SojournError } from 'sojourn/store-kit';
import { Connection, type Connector } from './connection.ts';
import { connectionStatements } from './connection-statements.ts';
import { pooled } from './failures.ts';

const SWITCHED = 'one connection was answered by two server processes';

/**
 * Two open connections must each be answered by a different server process, the same one every time. A pooler that
 * shares processes assigns the last process that was returned, or the next in turn. Queries in this order reveal both.
 */
export async function refusePooler(connector: Connector): Promise<void> {
  const { place } = connector;
  const open = (): Promise<Connection> => Connection.open(connector, { durable: true, asIs: true });
  const one = await open();
  try {
    const other = await open();
    try {
      if (one.pid === other.pid) throw pooled(place, 'two connections were answered by one server process');
      for (const asked of [one, other, other, one, one, other]) {
        const { rows } = await asked.query(connectionStatements.serverState);
        if (Number(rows[0]?.[0]) !== asked.pid) throw pooled(place, SWITCHED);
      }
    } finally {
      await other.close();
    }
  } finally {
    await one.close();
  }
}

export interface SelfTest {
  /** The connection that listens on the channel and holds the lock. */
  readonly listening: Connection;
  readonly other: Connection;
  readonly channel: string;
  readonly lock: string;
  /** Resolves when the listening connection receives this word. */
  heard(word: string): Promise<void>;
}

export async function testListening({ listening, other, channel, lock, heard }: SelfTest): Promise<void> {
  const { place } = listening;
  const word = 'self-test';
  const hearing = heard(word);
  try {
    // The open transaction occupies a server process: a pooler cannot give the same one to the listening connection.
    await other.query(connectionStatements.begin);
    const free = await other.query(connectionStatements.isLockFree, [lock], false);
    if (free.rows[0]?.[0] !== 'f') throw pooled(place, 'a lock that one connection holds is free for another');
    await other.query(connectionStatements.notify, [channel, word], false);
    const { rows } = await listening.query(connectionStatements.serverState, [], false);
    if (Number(rows[0]?.[0]) !== listening.pid) throw pooled(place, SWITCHED);
    await other.query(connectionStatements.commit);
  } catch (error) {
    await other.query(connectionStatements.rollback).catch(() => undefined);
    const known = error instanceof SojournError || (!listening.pooled && !other.pooled);
    throw known ? error : pooled(place, (error as Error).message);
  }
  await listening.deadlines.alive(hearing, () => pooled(place, 'it did not receive its notification'));
}
