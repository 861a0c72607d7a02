/** The file is deleted, moved or replaced while instances have it open. */
import { cpSync, existsSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import { createLab, textOf, tool } from '../kit/lab.ts';
import { serve, type Served } from '../kit/serve.ts';
import { until } from '../kit/until.ts';
import { announce, append, newFolder, newPath, openView, recordOf } from './sqlite-views.ts';

/** A busy machine must ask an instance between its failed renewal and the end of its lease. */
const LEASE_MS = 3_000;
const parts = (path: string): string[] => [path, `${path}-wal`, `${path}-shm`];

const instanceOn = (path: string): Promise<Served> =>
  serve(createLab().factory, {
    deployment: 'mcp',
    store: sqlite(path),
    leaseMs: LEASE_MS,
    maxWaitMs: 0,
  });

const ready = async ({ port }: Served): Promise<number> =>
  (await fetch(`http://127.0.0.1:${port}/readyz`)).status;

/** Resolves when the instance has noticed. */
async function noticed(served: Served, path: string): Promise<void> {
  await until(() => served.endpoint.health().store === 'unavailable');
  const [line, ...more] = served.log.matching(/was deleted or replaced/, 'fatal');
  expect(line).toMatchObject({
    fields: { file: path },
    message: expect.stringContaining('restart this process'),
  });
  expect(more).toEqual([]);
  expect(await ready(served)).toBe(503);
}

test('a deleted file is an outage of the store with one error, and closing it leaves the next file alone', async () => {
  const path = newPath();
  const first = await instanceOn(path);
  const client = await first.openSession();
  for (const part of parts(path)) rmSync(part, { force: true });
  await noticed(first, path);
  const { message } = await client.call(...tool('who'));
  expect(message).toMatchObject({
    error: { data: { reason: 'store_unavailable', mayHaveRun: false } },
  });

  const second = await instanceOn(path);
  const next = await second.openSession();
  await first.endpoint.close({ timeoutMs: 0 });
  expect(parts(path).map((part) => existsSync(part))).toEqual([true, true, true]);
  const view = await openView(path, { kind: 'sessions' });
  expect((await view.records.list(1_000)).records.length).toBe(1);
  expect(second.endpoint.health()).toMatchObject({ state: 'serving', store: 'ok' });
  expect(textOf((await next.call(...tool('count'))).message)).toBe('1');
});

test('a file that is put back is used again, with its sessions', async () => {
  const path = newPath();
  const served = await instanceOn(path);
  const client = await served.openSession();
  expect(textOf((await client.call(...tool('count'))).message)).toBe('1');
  const elsewhere = join(newFolder(), 'moved.db');
  const moved = [elsewhere, `${elsewhere}-wal`];
  for (const [n, to] of moved.entries()) renameSync(parts(path)[n] as string, to);
  await noticed(served, path);
  for (const [n, from] of moved.entries()) renameSync(from, parts(path)[n] as string);
  await until(
    () => served.endpoint.health().store === 'ok' && served.endpoint.health().state === 'serving',
  );
  expect(textOf((await client.call(...tool('count'))).message)).toBe('2');
  expect(await ready(served)).toBe(200);
});

test.each(['the file', 'its log'])('%s replaced by a copy is noticed', async (which) => {
  const path = newPath();
  const served = await instanceOn(path);
  await served.client().initialize();
  const part = which === 'the file' ? path : `${path}-wal`;
  cpSync(part, `${part}.copy`);
  renameSync(`${part}.copy`, part);
  await noticed(served, path);
});

test('a store that is opened on a file which another endpoint of the process has lost is away too', async () => {
  const path = newPath();
  const store = sqlite(path);
  const view = await openView(store, { leaseMs: LEASE_MS });
  await view.instances.announce({ id: 'me', state: 'serving', version: '1' }, () => undefined);
  rmSync(path);
  await expect(view.instances.renew('me', 'serving')).rejects.toThrow(/was deleted or replaced/);
  expect(() => view.records.read('s')).toThrow(/was deleted or replaced/);
  await expect((async () => view.records.create(recordOf('s')))()).rejects.toMatchObject({
    code: 'STORE_UNAVAILABLE',
  });
  await expect(openView(store, { deployment: 'other' })).rejects.toThrow(/was deleted or replaced/);
});

test('a path that cannot be followed any more is an outage, and no write that was stored seems refused', async () => {
  const path = newPath();
  const folder = dirname(path);
  const view = await openView(path);
  await view.instances.announce({ id: 'me', state: 'serving', version: '1' }, () => undefined);
  await view.records.create(recordOf('s'));
  renameSync(folder, `${folder}-moved`);
  symlinkSync(folder, folder);
  await expect(view.instances.renew('me', 'serving')).rejects.toMatchObject({
    code: 'STORE_UNAVAILABLE',
    message: expect.stringContaining('ELOOP') as string,
  });
  for (let n = 0; n < 70; n++) expect(await append(view, 'p', n, ['1'])).toBe('written');
  rmSync(folder);
  renameSync(`${folder}-moved`, folder);
  expect(await view.instances.renew('me', 'serving')).toBe(true);
});

test('processes on a file and on a link to it write to each other; a link that leads elsewhere is noticed', async () => {
  const path = newPath();
  const link = join(newFolder(), 'link.db');
  const here = await openView(path);
  symlinkSync(path, link);
  const there = await openView(link);
  const inbox = await announce(there, 'there');
  expect(await here.instances.send('me', 'there', { kind: 'call' })).toBe('sent');
  await until(() => inbox.messages.length === 1);
  expect(readdirSync(dirname(link))).toEqual(['link.db']);
  rmSync(link);
  symlinkSync(newPath(), link);
  await expect(there.instances.renew('there', 'serving')).rejects.toThrow(
    /was deleted or replaced/,
  );
});
