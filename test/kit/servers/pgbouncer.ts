/** PgBouncer in front of a PostgreSQL server of the tests. Like PostgreSQL it refuses to run as root. */
import { chownSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, onTestFinished } from 'vitest';
import { freePort } from '../free-port.ts';
import { acceptsLogins, find, postgresUser } from './recipes.ts';
import { TestServer, type ServerRecipe } from './test-server.ts';

const INI = 'pgbouncer.ini';
const MISSING = 'pgbouncer: the program is not installed (Debian: apt-get install pgbouncer)';

/** `settings`: of the section `[pgbouncer]`. */
const recipe = (
  postgresPort: number,
  settings: Readonly<Record<string, string | number>>,
): ServerRecipe => ({
  kind: 'pgbouncer',
  package: 'pgbouncer',
  find: () => find('pgbouncer'),
  get user() {
    return postgresUser();
  },
  async prepare(folder) {
    const user = postgresUser();
    if (user !== undefined) chownSync(folder, user.uid, user.gid);
    const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}\n`);
    const databases = `[databases]\n* = host=127.0.0.1 port=${postgresPort} user=postgres\n`;
    writeFileSync(join(folder, INI), `${databases}[pgbouncer]\n${lines.join('')}`);
  },
  command: ({ folder, args }) => [...args, join(folder, INI)],
  stopSignal: 'SIGINT',
  answers: acceptsLogins,
  url: (port) => `postgres://postgres@127.0.0.1:${port}/postgres`,
});

type PoolMode = 'session' | 'transaction' | 'statement';

/** Resolves when it answers; stops it after the test. */
export async function startPgBouncer(
  postgres: TestServer,
  mode: PoolMode,
  more: Readonly<Record<string, string | number>> = {},
): Promise<TestServer> {
  const executable = find('pgbouncer');
  if (executable === undefined) throw new Error(MISSING);
  const port = await freePort();
  const settings = {
    listen_addr: '127.0.0.1',
    listen_port: port,
    unix_socket_dir: '',
    auth_type: 'any',
    pool_mode: mode,
    ...more,
  };
  const server = new TestServer(recipe(postgres.port, settings), executable, port, []);
  onTestFinished(() => server.close());
  await server.prepare();
  await server.start();
  return server;
}

/**
 * `describe` for tests that start PgBouncer. If it is missing they fail under CI, and are skipped by name elsewhere.
 */
export function describeWithPgBouncer(title: string, tests: () => void): void {
  if (process.env['CI'] !== undefined || find('pgbouncer') !== undefined) describe(title, tests);
  else describe.skip(`${title} (${MISSING})`, tests);
}
