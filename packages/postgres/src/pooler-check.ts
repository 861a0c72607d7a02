/**
 * Refuses a pooler that gives each transaction another server process. It accepts `LISTEN` and session locks silently.
 * Then no notification arrives and every lock is free: instances would consider each other dead. Settings of such a
 * connection would stay on the server process, which serves another program next. So the store checks which process
 * answers before it changes any setting, and again with each renewal of a lease (`mailboxes.ts`).
 */
import { Connection, type Server } from './connection.ts';
import { connectionStatements } from './connection-statements.ts';
import { pooled } from './failures.ts';
import { queryOf } from './pg.ts';

/** Rejects, and gives the connection up, if another server process than that of the connection answers. */
export async function checkProcess(connection: Connection): Promise<void> {
  const isSame = await connection.ask(async ({ client, pid }) => {
    const { rows } = await client.query(queryOf(connectionStatements.serverState, []));
    return Number(rows[0]?.[0]) === pid;
  });
  if (isSame) return;
  const error = pooled(connection.where, 'one connection was answered by two server processes');
  connection.destroy(error);
  throw error;
}

/**
 * Two open connections must each be answered by a different server process, the same one every time. A pooler that
 * shares processes assigns the last process that was returned, or the next in turn. Queries in this order reveal both.
 */
export async function refusePooler(server: Server): Promise<void> {
  const [one, other] = [0, 1].map(() => new Connection(server, { durable: true, asIs: true })) as [
    Connection,
    Connection,
  ];
  try {
    const pids = [(await one.ready()).pid, (await other.ready()).pid];
    if (pids[0] === pids[1]) throw pooled(server.place, 'two connections were answered by one server process');
    for (const asked of [one, other, other, one, one, other]) await checkProcess(asked);
  } finally {
    await Promise.all([one.close(), other.close()]);
  }
}
