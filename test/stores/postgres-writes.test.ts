import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { describeWithServer } from '../kit/servers/index.ts';
import { AWAY } from './outages.ts';
import { newDatabase, openView, recordOf } from './postgres-views.ts';

describeWithServer('postgres', 'writes to PostgreSQL', (server) => {
  test('a row that the server refuses fails alone, and names no outage', async () => {
    const view = await openView(await newDatabase(server().url));
    const settled = await Promise.allSettled([
      // More than an entry of an index may have.
      view.records.create(recordOf(randomBytes(3_000).toString('base64url'))),
      view.records.create(recordOf('s')),
    ]);
    expect(settled).toMatchObject([{ reason: { code: 'INTERNAL' } }, { value: 'created' }]);
  });

  test('a closed view refuses writes', async () => {
    const view = await openView(await newDatabase(server().url));
    await view.close();
    await expect(view.records.create(recordOf('late'))).rejects.toMatchObject(AWAY);
  });
});
