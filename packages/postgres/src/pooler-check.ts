/**
 * Refuses a pooler that gives each transaction another server process. It accepts `LISTEN` and session locks silently.
 * Then no notification arrives and every lock is free: instances would consider each other dead. Settings of such a
 * connection would stay on the server process, which serves another program next. So the store checks which process
 * answers before it changes any setting, and again with each renewal of a lease (`mailboxes.ts`).
 */
import { Connection, type Connector } from './connection.ts';
import { connectionStatements } from './connection-statements.ts';
import { pooled } from './failures.ts';

/** Rejects if another server process than that of the connection answers. */
export async function checkProcess(connection: Connection): Promise<void> {
  const { rows } = await connection.query(connectionStatements.serverState);
  if (Number(rows[0]?.[0]) !== connection.pid)
    throw pooled(connection.place, 'one connection was answered by two server processes');
}

/**
 * Two open connections must each be answered by a different server process, the same one every time. A pooler that
 * shares processes assigns the last process that was returned, or the next in turn. Queries in this order reveal both.
 */
export async function refusePooler(connector: Connector): Promise<void> {
  const opened: Connection[] = [];
  const open = async (): Promise<Connection> => {
    const connection = await Connection.open(connector, { durable: true, asIs: true });
    opened.push(connection);
    return connection;
  };
  try {
    const [one, other] = [await open(), await open()];
    if (one.pid === other.pid) throw pooled(connector.place, 'two connections were answered by one server process');
    for (const asked of [one, other, other, one, one, other]) await checkProcess(asked);
  } finally {
    await Promise.all(opened.map((connection) => connection.close()));
  }
}
