/** A server that crashes, freezes, loses its connections or its data, and comes back. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { isMatrix } from '../kit/matrix.ts';
import { startPostgresPair } from '../kit/servers/fail-over.ts';
import { describeWhereInstalled, describeWithServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { outageCases } from './outage-cases.ts';
import { ALL_CALLS, AWAY, ownServer, proxied } from './outages.ts';
import { announce, connect, newDatabase, openView } from './postgres-views.ts';

const LASTING = { leaseMs: 60_000 };

describeWithServer(
  'postgres',
  'the PostgreSQL store, on a server that keeps running,',
  (server) => {
    test('reconnects after a cut, reports that messages may be lost, and then reads them', async () => {
      const url = await newDatabase(server().url);
      const { proxy } = await proxied(server());
      const view = await openView(url, LASTING);
      const other = await openView(url.replace(String(server().port), String(proxy.port)), LASTING);
      const inbox = await announce(other, 'cut');
      proxy.refuse(true);
      proxy.cutAll();
      await until(() => inbox.lost > 0);
      await until(
        async () => (await view.instances.send('me', 'cut', { kind: 'word', n: 1 })) === 'suspect',
      );
      await expect(Promise.resolve(other.instances.renew('cut', 'serving'))).rejects.toMatchObject(
        AWAY,
      );
      proxy.heal();
      await until(async () => other.instances.renew('cut', 'serving'));
      expect(await view.instances.send('me', 'cut', { kind: 'word', n: 2 })).toBe('sent');
      await until(() => inbox.messages.some(({ n }) => n === 2));
      expect(inbox.messages[0]).toMatchObject({ n: 1 });
      expect(inbox.lost).toBe(1);
    });

    test('creates its tables again after they were dropped; their contents are missing', async () => {
      const url = await newDatabase(server().url);
      const view = await openView(url, LASTING);
      const client = await connect(url);
      for (const call of ['read', 'save', 'append', 'renew', 'send', 'secret', 'create']) {
        await client.query('DROP SCHEMA sojourn CASCADE');
        await until(async () => [await ALL_CALLS[call]?.(view)]);
        expect(await until(async () => [await view.records.read('s')]), call).toEqual([undefined]);
      }
      await client.query('DROP TABLE sojourn.rows');
      expect(await until(async () => [await view.records.read('s')])).toEqual([undefined]);
    });
  },
);

describeWhereInstalled('postgres', 'the PostgreSQL store', () => {
  if (isMatrix) outageCases('postgres');

  test('refuses a standby, which would show old data', async () => {
    const server = await ownServer('postgres');
    await (await openView(server.url)).close();
    await server.stop();
    // A standby without a primary serves the data that it has.
    writeFileSync(join(server.folder, 'standby.signal'), '');
    await server.start();
    await expect(openView(server.url)).rejects.toMatchObject({
      ...AWAY,
      message: expect.stringContaining('standby'),
    });
  });

  test('a standby that was promoted takes messages', async () => {
    const { primary, replica, promote, close } = await startPostgresPair([]);
    onTestFinished(close);
    await (await openView(primary.url)).close();
    const standby = await connect(replica.url);
    await until(() => standby.query('SELECT no FROM sojourn.version'));
    await primary.killed();
    await promote();
    const view = await openView(replica.url);
    const inbox = await announce(view, 'a');
    expect(await view.instances.send('a', 'a', { kind: 'word' })).toBe('sent');
    await until(() => inbox.messages.length === 1);
  });
});
