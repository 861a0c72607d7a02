/** How the store connects to the server: for reads, for writes, or for notifications. */
import { KeptConnection, type Connector, type Deadlines } from 'sojourn/store-kit';
import { connectionStatements, settingsOf } from './connection-statements.ts';
import {
  configUnusable,
  connectionLost,
  isFatal,
  notUtf8,
  readOnlyByDefault,
  standby,
  storeFailure,
  tooOld,
} from './failures.ts';
import { queryOf, type Pg, type PgClient, type PgConfig, type PgResult, type Row } from './pg.ts';
import type { Statement, Value } from './pg.ts';

/** 13 is the oldest version in use. */
const MIN_VERSION = 130_000;
/** Silence before the operating system probes the connection. */
const KEEP_ALIVE_MS = 10_000;

/** The server of a store. */
export interface Server {
  readonly pg: Pg;
  readonly config: PgConfig;
  readonly deadlines: Deadlines;
  /** Its name in errors. */
  readonly place: string;
}

/** The name of the server in errors, without user and password. */
export function placeOf(pg: Pg, config: PgConfig): string {
  try {
    const { host, port, database } = new pg.Client(config);
    return `PostgreSQL at ${host}:${port}/${database ?? ''}`;
  } catch (error) {
    throw configUnusable(error);
  }
}

/** What differs between the uses of a connection. */
export interface ConnectionUse {
  /** The server waits for its disk before it answers. */
  readonly durable: boolean;
  /**
   * Queries only: leaves the session settings unchanged, because a pooler may lend the server process to another
   * program.
   */
  readonly asIs?: boolean;
  /** Called for each notification on a channel of this connection. */
  notified?(payload: string): void;
  /** Run before the first use of a new connection. */
  readonly first?: readonly (readonly [Statement, readonly Value[]])[];
  opened?(): void;
  lost?(): void;
}

export interface Session {
  readonly client: PgClient;
  /** The id of the server process. */
  pid: number;
}

export class Connection extends KeptConnection<Session> {
  constructor(server: Server, use: ConnectionUse) {
    super(connectorOf(server, use));
  }

  query(statement: Statement, values: readonly Value[] = []): Promise<PgResult> {
    return this.ask(({ client }) => client.query(queryOf(statement, values)));
  }
}

function connectorOf({ pg, config, deadlines, place }: Server, use: ConnectionUse): Connector<Session> {
  const { query_timeout: _query, statement_timeout: _statement, ...own } = config;
  const { opened, lost } = use;
  return {
    where: place,
    deadlines,
    connectMs: deadlines.limitMs,
    make: () => ({
      client: new pg.Client({
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
      client.on('notification', ({ payload }: { payload?: string }) => use.notified?.(payload ?? ''));
      await client.connect();
      await prepare(session, use, deadlines.limitMs, place);
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

async function prepare(session: Session, use: ConnectionUse, limitMs: number, place: string): Promise<void> {
  const { client } = session;
  const { asIs = false, durable, first = [] } = use;
  const { serverState, setUp } = connectionStatements;
  const set = asIs ? queryOf(serverState, []) : queryOf(setUp, settingsOf(limitMs, durable));
  const state = (await client.query(set)).rows[0] ?? [];
  session.pid = Number(state[0]);
  checkServer(state, place);
  await Promise.all(first.map(([statement, values]) => client.query(queryOf(statement, values))));
}

function checkServer([, recovering, number, version, encoding, readOnly]: Row, place: string): void {
  if (Number(number) < MIN_VERSION) throw tooOld(place, version ?? '');
  if (encoding !== 'UTF8') throw notUtf8(place, encoding ?? '');
  if (recovering === 't') throw standby(place);
  if (readOnly === 'on') throw readOnlyByDefault(place);
}
