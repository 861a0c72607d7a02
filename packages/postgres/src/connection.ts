/** How the store connects to the server: for reads, for writes, or for notifications. */
import {
  LastingConnection,
  storeUnavailable,
  storeRefused,
  type Connector,
  type Deadlines,
} from 'sojourn/internal';
import { connectionLost, isFatal, pooled, storeFailure } from './failures.ts';
import {
  Client,
  queryOf,
  type PgClient,
  type PostgresConfig,
  type PgResult,
  type PgRow,
} from './pg.ts';
import type { Statement, PgValue } from './pg.ts';
import { findSchema } from './schema.ts';

/** 13 is the oldest version in use. */
const MIN_VERSION = 130_000;
/** Silence before the operating system probes the connection. */
const KEEP_ALIVE_MS = 10_000;

/** Which server this is. $1 names, $2 values of settings; older servers lack some. */
const SET_UP = `SELECT pg_backend_pid(), pg_is_in_recovery(), current_setting('server_version_num'),
    current_setting('server_version'), current_setting('server_encoding'),
    current_setting('default_transaction_read_only'),
    (SELECT count(set_config(name, value, false)) FROM unnest($1::text[], $2::text[]) AS setting (name, value)
      WHERE current_setting(name, true) IS NOT NULL)`;

/**
 * The values of `SET_UP`.
 *
 * A statement whose client has given up changes nothing any more, and may wait for a lock. So the server ends it after
 * the time that the client waits, and notices clients that are gone.
 *
 * Every statement is prepared and looks up rows by a key. No plan depends on its values, or on statistics that new
 * tables do not have yet. JIT is off because compiling a statement would take longer than running it.
 */
function settingsOf(limitMs: number, durable: boolean): PgValue[] {
  const settings = {
    statement_timeout: String(Math.ceil(limitMs)),
    idle_session_timeout: '0',
    lock_timeout: '0',
    tcp_keepalives_idle: '10',
    tcp_keepalives_interval: '5',
    tcp_keepalives_count: '3',
    default_transaction_isolation: 'read committed',
    plan_cache_mode: 'force_generic_plan',
    enable_seqscan: 'off',
    jit: 'off',
    ...(!durable && { synchronous_commit: 'off' }),
  };
  return [Object.keys(settings), Object.values(settings)];
}

/** The server of a store. */
export interface PostgresServer {
  readonly config: PostgresConfig;
  readonly schema: string;
  readonly deadlines: Deadlines;
  /** Its name in errors. */
  readonly place: string;
}

/** The name of the server in errors, without user and password. */
export function placeOf(config: PostgresConfig): string {
  try {
    const { host, port, database } = new Client(config);
    return `PostgreSQL at ${host}:${port}/${database ?? ''}`;
  } catch (error) {
    // A certificate that is not there, for example.
    throw storeRefused(
      `pg cannot use the configuration of PostgreSQL: ${(error as Error).message}`,
    );
  }
}

/** What differs between the uses of a connection. */
export interface ConnectionUse {
  /** The server does not wait for its disk before it answers. */
  readonly quick?: boolean;
  /**
   * Queries only: leaves the session settings unchanged, because a pooler may lend the server process to another
   * program.
   */
  readonly asIs?: boolean;
  /** Called for each notification on a channel of this connection. */
  notified?(payload: string): void;
  /** Run before the first use of a new connection. */
  readonly first?: readonly string[];
  opened?(): void;
  lost?(): void;
}

export interface Session {
  readonly client: PgClient;
  /** The id of the server process. */
  pid: number;
}

export class Connection extends LastingConnection<Session> {
  constructor(server: PostgresServer, use: ConnectionUse = {}) {
    super(connectorOf(server, use));
  }

  query(statement: Statement | string, values?: readonly PgValue[]): Promise<PgResult> {
    return this.ask(({ client }) => client.query(queryOf(statement, values)));
  }

  /** Rejects, and gives the connection up, if another server process than that of the connection answers. */
  async check(): Promise<void> {
    const isSame = await this.ask(async ({ client, pid }) => {
      const { rows } = await client.query(queryOf('SELECT pg_backend_pid()'));
      return Number(rows[0]?.[0]) === pid;
    });
    if (isSame) return;
    const error = pooled(this.where, 'one connection was answered by two server processes');
    this.destroy(error);
    throw error;
  }
}

/**
 * Refuses a pooler that gives each transaction another server process. It accepts `LISTEN` and session locks silently.
 * Then no notification arrives and every lock is free: instances would consider each other dead. Settings of such a
 * connection would stay on the server process, which serves another program next. So the store checks which process
 * answers before it changes any setting, and again with each renewal of a lease (`mailboxes.ts`).
 *
 * Two open connections must each be answered by a different server process, the same one every time. A pooler that
 * shares processes assigns the last process that was returned, or the next in turn. Queries in this order reveal both.
 */
export async function refusePooler(server: PostgresServer): Promise<void> {
  const [one, other] = [
    new Connection(server, { asIs: true }),
    new Connection(server, { asIs: true }),
  ];
  try {
    const pids = [(await one.ready()).pid, (await other.ready()).pid];
    if (pids[0] === pids[1])
      throw pooled(server.place, 'two connections were answered by one server process');
    for (const asked of [one, other, other, one, one, other]) await asked.check();
  } finally {
    await Promise.all([one.close(), other.close()]);
  }
}

function connectorOf(server: PostgresServer, use: ConnectionUse): Connector<Session> {
  const { config, deadlines, place } = server;
  const { query_timeout: _query, statement_timeout: _statement, ...own } = config;
  const { opened, lost } = use;
  return {
    where: place,
    deadlines,
    connectMs: deadlines.limitMs,
    make: () => ({
      client: new Client({
        fallback_application_name: 'sojourn',
        ...own,
        keepAlive: true,
        keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
        pipeline: true,
        binary: false,
        // A pool makes its password non-enumerable, so the spread above does not copy it.
        password: config['password'],
      }),
      pid: 0,
    }),
    async connect(session, broke) {
      const { client } = session;
      client.on('error', (error: Error) => broke(connectionLost(place, error)));
      client.on('end', () => broke(connectionLost(place)));
      client.on('notification', ({ payload }: { payload?: string }) =>
        use.notified?.(payload ?? ''),
      );
      await client.connect();
      await prepare(session, use, server);
    },
    end: ({ client }) => client.end(),
    destroy: ({ client }) => client.connection.stream.destroy(),
    failure: (error) => storeFailure(place, error),
    isFatal,
    // An idle connection does not keep the process alive. A closed socket would add a listener at each call.
    busy: ({ client }, isBusy) => (isBusy ? client.ref() : client.unref()),
    ...(opened && { opened }),
    ...(lost && { lost }),
  };
}

async function prepare(
  session: Session,
  use: ConnectionUse,
  { deadlines, place, schema }: PostgresServer,
): Promise<void> {
  const { client } = session;
  const { asIs = false, quick = false, first = [] } = use;
  const settings = asIs ? [[], []] : settingsOf(deadlines.limitMs, !quick);
  const state = (await client.query(queryOf(SET_UP, settings))).rows[0] ?? [];
  session.pid = Number(state[0]);
  checkServer(state, place);
  if (!asIs) await findSchema(schema, place, (text, values) => client.query(queryOf(text, values)));
  await Promise.all(first.map((text) => client.query(queryOf(text))));
}

function checkServer(
  [, recovering, number, version, encoding, readOnly]: PgRow,
  place: string,
): void {
  if (Number(number) < MIN_VERSION)
    throw storeRefused(`${place} is PostgreSQL ${version}; 13 or later is needed`);
  if (encoding !== 'UTF8')
    throw storeRefused(
      `${place} keeps text as ${encoding}; a database with ENCODING 'UTF8' is needed`,
    );
  if (recovering === 't')
    throw storeUnavailable(
      `${place} is a standby: what it says may be old, and it takes no writes; name the primary`,
    );
  // Some managed servers set it while their disk is nearly full.
  if (readOnly === 'on')
    throw storeUnavailable(
      `${place}: default_transaction_read_only is on, so it is meant to take no writes. Make room if its disk is ` +
        'nearly full, name the primary if this is a copy, or turn it off for this user (ALTER ROLE user SET ' +
        'default_transaction_read_only = off)',
    );
}
