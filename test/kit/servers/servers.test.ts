import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { until } from '../until.ts';
import { describeWhereInstalled, serverKinds, startServer } from './index.ts';
import { fillPostgresFolder } from './postgres-folder.ts';
import { find, postgresUser, recipes } from './recipes.ts';

/** Whether a new connection is accepted, which a frozen server's kernel still does. */
const connects = (port: number): Promise<boolean> =>
  new Promise((done) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => done(true)).once('error', () => done(false));
    socket.once('close', () => done(false));
    socket.unref();
    setTimeout(() => socket.destroy(), 200);
  });

for (const kind of serverKinds) {
  describeWhereInstalled(kind, `a ${kind} server of the tests`, () => {
    test(
      'starts on its own, freezes, is killed, starts again on the same port and leaves nothing',
      { timeout: 90_000 },
      async () => {
        const server = await startServer(kind);
        const answers = (): Promise<boolean> => recipes[kind].answers(server.port);
        try {
          expect(server.url).toContain(`127.0.0.1:${server.port}`);
          // Each look ends after half a second, and a busy server may take longer.
          await until(answers);
          server.pause();
          await until(async () => !(await answers()), { what: 'it to be frozen' });
          server.resume();
          await until(answers);
          await server.killed();
          expect(await connects(server.port)).toBe(false);
          await server.start();
          await until(answers);
          await server.stop();
          expect(await connects(server.port)).toBe(false);
          await server.start();
        } finally {
          await server.close();
        }
        expect(await connects(server.port)).toBe(false);
      },
    );
  });
}

describeWhereInstalled('postgres', 'the data directory of a postgres server', () => {
  test('is made by initdb once, and copied with its owner and rights from then on', async () => {
    // Below the system's temporary folder, which PostgreSQL's user can reach.
    const folder = mkdtempSync(join(tmpdir(), 'sojourn-postgres-folder-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const cache = join(folder, 'cache');
    const fill = async (name: string): Promise<string> => {
      const data = mkdtempSync(join(tmpdir(), `sojourn-postgres-${name}-`));
      onTestFinished(() => rmSync(data, { recursive: true, force: true }));
      await fillPostgresFolder(data, join(dirname(find('postgres') ?? ''), 'initdb'), postgresUser(), cache);
      return data;
    };
    const made = await fill('made');
    const [kept = '', ...others] = readdirSync(cache);
    expect(others).toEqual([]);
    writeFileSync(join(cache, kept, 'only-in-the-cache'), '');
    const copied = await fill('copied');
    expect(readdirSync(copied).toSorted()).toEqual([...readdirSync(made), 'only-in-the-cache'].toSorted());
    for (const name of ['.', 'PG_VERSION', 'global']) {
      const [{ uid, gid, mode }, copy] = [statSync(join(made, name)), statSync(join(copied, name))];
      expect(copy).toMatchObject({ uid, gid, mode });
    }
  });
});
