/**
 * Whether the connection that listens is one to the server itself. Poolers that give each transaction another server process
 * take `LISTEN` and session locks without a word, and then nothing is heard and every lock is free: instances would take
 * each other for dead. And what the store sets on such a connection stays on the server's side of it, which serves another
 * program next.
 *
 * So the store asks who answers before it sets anything (`refusePooler`), and tests the two connections that it keeps once
 * it has them (`testLine`).
 */
import { SojournError } from '../../errors.ts';
import { Connection, type Connector } from './connection.ts';
import { connectionStatements } from './connection-statements.ts';
import { pooled } from './failures.ts';
import type { Waits } from './waits.ts';

const SWITCHED = 'one connection was answered by two server processes';

/**
 * Two connections that stay open must each be answered by a server process of their own, the same every time. A pooler that
 * shares them gives the process that it got back last, or the next in turn: asking in this order shows both.
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
        const { rows } = await asked.query(connectionStatements.whoAnswers);
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
  /** It listens on the channel, and holds the lock. */
  readonly line: Connection;
  readonly other: Connection;
  readonly channel: string;
  readonly lock: string;
  /** Resolves when the line hears this word. */
  heard(word: string): Promise<void>;
  readonly waits: Waits;
}

export async function testLine({ line, other, channel, lock, heard, waits }: SelfTest): Promise<void> {
  const { place } = line;
  const word = 'self-test';
  const hearing = heard(word);
  try {
    // The transaction keeps a server process to itself: a pooler cannot lend the same one to the line.
    await other.query(connectionStatements.begin);
    const free = await other.query(connectionStatements.isLockFree, [lock], false);
    if (free.rows[0]?.[0] !== 'f') throw pooled(place, 'a lock that one connection holds is free for another');
    await other.query(connectionStatements.notify, [channel, word], false);
    const { rows } = await line.query(connectionStatements.whoAnswers, [], false);
    if (Number(rows[0]?.[0]) !== line.pid) throw pooled(place, SWITCHED);
    await other.query(connectionStatements.commit);
  } catch (error) {
    await other.query(connectionStatements.rollback).catch(() => undefined);
    const known = error instanceof SojournError || (!line.pooled && !other.pooled);
    throw known ? error : pooled(place, (error as Error).message);
  }
  await waits.alive(hearing, () => pooled(place, 'it did not hear what it told itself'));
}
