/** A primary with a replica, and what makes the replica the primary: Redis with Sentinel, PostgreSQL with streaming. */
import { execFile } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { createClient } from 'redis';
import { spawnNode } from '../child-process.ts';
import { freePort } from '../free-port.ts';
import { until } from '../until.ts';
import { find, recipes, postgresUser } from './recipes.ts';
import { missingServer, startServer } from './start.ts';
import { TestServer } from './test-server.ts';

const run = promisify(execFile);
const PATIENCE = { timeoutMs: 30_000 };

export interface Pair {
  readonly primary: TestServer;
  readonly replica: TestServer;
  close(): Promise<void>;
}

export interface SentinelPair extends Pair {
  /** The port of the sentinel, which watches the pair under the name `ours`. */
  readonly sentinel: number;
  /** Kills the sentinel, and starts it on the same port after `awayMs`. */
  restartSentinel(awayMs: number): Promise<void>;
}

const SENTINEL_NAME = 'ours';

/** Duplicates share a class, which takes long to make. */
const template = createClient({ RESP: 2 });

async function ask(port: number, ...command: readonly string[]): Promise<string> {
  const client = await template
    .duplicate({ url: `redis://127.0.0.1:${port}` })
    .on('error', () => undefined)
    .connect();
  try {
    return String(await client.sendCommand([...command]));
  } finally {
    client.destroy();
  }
}

/** A sentinel pings once a second; with a shorter limit it would fail over a healthy primary. */
const DOWN_AFTER_MS = 2_500;

/** `downAfterMs`: the sentinel fails over a primary that does not answer for so long. */
export async function startSentinelPair(
  args: readonly string[] = [],
  downAfterMs = DOWN_AFTER_MS,
): Promise<SentinelPair> {
  const primary = await startServer('redis', { args });
  const open: Array<{ close(): Promise<void> }> = [primary];
  const close = async (): Promise<void> => {
    for (const one of open.reverse()) await one.close();
  };
  try {
    const replica = await startServer('redis', {
      args: [...args, '--replicaof', '127.0.0.1', String(primary.port)],
    });
    open.push(replica);
    const linked = async (): Promise<boolean> =>
      (await ask(replica.port, 'INFO', 'replication')).includes('master_link_status:up');
    await until(linked, PATIENCE);
    const sentinel = await startSentinel(primary, downAfterMs);
    open.push(sentinel);
    return { primary, replica, sentinel: sentinel.port, restartSentinel: sentinel.restart, close };
  } catch (error) {
    await close();
    throw error;
  }
}

interface Sentinel {
  readonly port: number;
  restart(awayMs: number): Promise<void>;
  close(): Promise<void>;
}

/** A sentinel is a server in another mode; it writes to its configuration file. */
async function startSentinel(primary: TestServer, downAfterMs: number): Promise<Sentinel> {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-sentinel-'));
  const [port, file] = [await freePort(), join(folder, 'sentinel.conf')];
  const settings = [
    `port ${port}`,
    'bind 127.0.0.1',
    `sentinel monitor ${SENTINEL_NAME} 127.0.0.1 ${primary.port} 1`,
    `sentinel down-after-milliseconds ${SENTINEL_NAME} ${downAfterMs}`,
    `sentinel failover-timeout ${SENTINEL_NAME} 3000`,
  ];
  writeFileSync(file, settings.join('\n'));
  const start = () =>
    spawnNode([file, '--sentinel'], { program: recipes.redis.find() ?? '', cwd: folder });
  let sentinel = start();
  const close = async (): Promise<void> => {
    await sentinel.stop('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  };
  const restart = async (awayMs: number): Promise<void> => {
    await sentinel.stop('SIGKILL');
    await new Promise((done) => setTimeout(done, awayMs));
    sentinel = start();
  };
  const knowsReplica = async (): Promise<boolean> =>
    (await ask(port, 'SENTINEL', 'REPLICAS', SENTINEL_NAME).catch(() => '')).includes(
      'ip,127.0.0.1',
    );
  try {
    await until(knowsReplica, PATIENCE);
  } catch (error) {
    await close();
    throw error;
  }
  return { port, restart, close };
}

/**
 * Whether the sentinel tells clients that the replica is the primary. That is up to a second after the replica takes
 * writes: until then no client can learn of it.
 */
export const namesReplica = async ({ sentinel, replica }: SentinelPair): Promise<boolean> =>
  (
    await ask(sentinel, 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME', SENTINEL_NAME).catch(() => '')
  ).endsWith(`,${replica.port}`);

/** A commit is acknowledged when the replica has it too, so that a fail-over loses nothing. */
export async function startPostgresPair(
  args: readonly string[] = [],
): Promise<Pair & { promote(): Promise<void> }> {
  const executable = recipes.postgres.find();
  if (executable === undefined) throw new Error(missingServer('postgres'));
  const primary = await startServer('postgres', { args });
  const copied = {
    ...recipes.postgres,
    async prepare(folder: string): Promise<void> {
      const user = postgresUser();
      if (user !== undefined) chownSync(folder, user.uid, user.gid);
      chmodSync(folder, 0o700);
      const from = ['-h', '127.0.0.1', '-p', String(primary.port), '-U', 'postgres'];
      // `-R`: it starts as a standby of the primary.
      const how = ['-R', '-X', 'stream', '-c', 'fast'];
      const copy = find('pg_basebackup') ?? 'pg_basebackup';
      await run(copy, ['-D', folder, ...from, ...how], { ...user, cwd: folder });
    },
  };
  const replica = new TestServer(copied, executable, await freePort(), args);
  const close = async (): Promise<void> => {
    await replica.close();
    await primary.close();
  };
  try {
    await replica.prepare();
    await replica.start();
    // Set after the copy was made, so that the promoted replica waits for no standby.
    await query(primary, "ALTER SYSTEM SET synchronous_standby_names = '*'");
    await query(primary, 'SELECT pg_reload_conf()');
    await until(
      async () =>
        (await query(primary, "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'")) === 1,
      PATIENCE,
    );
  } catch (error) {
    await close();
    throw error;
  }
  return {
    primary,
    replica,
    close,
    promote: async () => void (await query(replica, 'SELECT pg_promote()')),
  };
}

/** The number of rows. */
async function query(server: TestServer, sql: string): Promise<number> {
  const client = new Client({ connectionString: server.url });
  await client.connect();
  try {
    return (await client.query(sql)).rowCount ?? 0;
  } finally {
    await client.end();
  }
}
