/**
 * Another build beside this one on the same store. The next release, both ways: what a rolling deploy is made of. A build
 * that this one cannot understand: this one says so, and loses nothing.
 */
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { BUILD_VERSION } from '../../src/base/protocol/versions.ts';
import { dist } from '../cli/cli-process.ts';
import { deployment, kill } from '../cli/deployment.ts';
import { say, textOf } from '../kit/lab.ts';
import { openClient } from '../kit/listening.ts';
import { inMatrix } from '../kit/matrix.ts';
import { refusalOf } from '../kit/refusals.ts';
import {
  type DurableKind,
  durableKinds,
  sharedDeployment,
  useSharedStores,
} from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';

useSharedStores();

/** Below the packages of the repository, which a build finds from there. */
const cache = fileURLToPath(new URL('../../node_modules/.cache/sojourn/', import.meta.url));

/** A text that one script of `dist/` has, and what replaces it. */
type Change = readonly [from: string, to: string];

/** This build with other texts in its files, until the test is over. Returns the folder of the build. */
function changedBuild(...changes: readonly Change[]): string {
  mkdirSync(cache, { recursive: true });
  const target = mkdtempSync(join(cache, 'newer-'));
  onTestFinished(() => rmSync(target, { recursive: true, force: true }));
  cpSync(dist, join(target, 'dist'), { recursive: true });
  cpSync(join(dist, '../package.json'), join(target, 'package.json'));
  const names = readdirSync(join(target, 'dist'), { recursive: true, encoding: 'utf8' });
  const scripts = names
    .filter((name) => name.endsWith('.js'))
    .map((name) => join(target, 'dist', name));
  for (const [from, to] of changes) {
    const found = scripts.filter((path) => readFileSync(path, 'utf8').includes(from));
    if (found.length !== 1) throw new Error(`${found.length} scripts of dist/ contain ${from}`);
    for (const path of found) writeFileSync(path, readFileSync(path, 'utf8').replace(from, to));
  }
  return join(target, 'dist');
}

/** The next release, as its rules allow: another version, and a table of SQLite that this build does not know. */
const newerBuild = (): string =>
  changedBuild(
    [`BUILD_VERSION = "${BUILD_VERSION}"`, 'BUILD_VERSION = "9.9.9"'],
    [
      'PRAGMA application_id = $',
      'CREATE TABLE later (no INTEGER PRIMARY KEY) STRICT;\nPRAGMA application_id = $',
    ],
  );

const pairs = [
  { owning: 'a newer build', relaying: 'this build', builds: () => [newerBuild(), dist] as const },
  { owning: 'this build', relaying: 'a newer build', builds: () => [dist, newerBuild()] as const },
];
/** Each way on one store; in the matrix each on all. */
const cases = pairs.flatMap((pair, at) =>
  inMatrix(durableKinds, [durableKinds[at % durableKinds.length] ?? 'sqlite']).map((kind) => ({
    ...pair,
    kind,
  })),
);

describe.each(cases)(
  'a session that $owning owns and $relaying relays to, on $kind',
  ({ kind, builds }) => {
    test('is served, taken over with its log and its running calls, and ended everywhere', async () => {
      const [owning, relaying] = builds();
      const { start, happened } = deployment(sharedDeployment(kind));
      const owner = await start({}, owning);
      const other = await start({ ANSWERS: 'yes' }, relaying);
      const near = openClient(owner.url);
      await near.initialize({
        protocolVersion: '2025-11-25',
        capabilities: { elicitation: { form: {} } },
      });
      const client = openClient(other.url, { of: near });
      await client.call('tools/list');
      expect(await say(client, 'count')).toBe('1 restored false');

      const get = await client.get();
      await get.next();
      await near.call('tools/call', { name: 'announce', arguments: {} });
      expect(await get.nextMessage()).toMatchObject({ method: 'notifications/tools/list_changed' });

      const asking = await client.post({
        jsonrpc: '2.0',
        id: 'ask',
        method: 'tools/call',
        params: { name: 'ask' },
      });
      const question = (await asking.nextMessage()) as { id: string; method: string };
      expect(question.method).toBe('elicitation/create');
      const result = { action: 'accept', content: { colour: 'blue' } };
      expect((await client.post({ jsonrpc: '2.0', id: question.id, result })).status).toBe(202);
      expect(textOf(await asking.nextMessage())).toBe('blue');

      const running = await Promise.all(
        ['look', 'pay'].map(async (name) => {
          const stream = await client.post({
            jsonrpc: '2.0',
            id: name,
            method: 'tools/call',
            params: { name },
          });
          await until(() => happened().includes(name), { what: `${name} to run` });
          return stream;
        }),
      );
      const [looking, paying] = running;
      const beside = await near.post({
        jsonrpc: '2.0',
        id: 'beside',
        method: 'tools/call',
        params: { name: 'look' },
      });
      const primed = await beside.next();
      await kill(owner.cli);
      expect(textOf(await looking?.nextMessage())).toBe('look done');
      expect(await paying?.nextMessage()).toMatchObject({
        error: { data: { reason: 'owner_lost', mayHaveRun: true } },
      });
      // Its own connection went with the owner: what the older owner logged is read by the other.
      const resumed = await client.get({ lastEventId: primed?.id });
      expect(textOf(await resumed.nextMessage())).toBe('look done');
      expect(await say(client, 'count')).toBe('2 restored true');
      expect(happened().filter((name) => name === 'pay')).toEqual(['pay']);

      const again = openClient((await start({}, owning)).url, { of: client });
      expect(await say(again, 'count')).toBe('3 restored true');
      expect((await again.delete()).status).toBe(200);
      for (const gone of [again, client])
        expect((await gone.call('ping')).response.status).toBe(404);
    });
  },
);

describe.each(inMatrix<DurableKind>(durableKinds, ['sqlite']))('on the store %s', (kind) => {
  // Messages between instances are the same on every store; a store only carries them.
  const isEven = durableKinds.indexOf(kind) % 2 === 0;
  if (isEven)
    test('an owner that speaks another protocol is not relayed to: requests are refused until it is gone, then its sessions are served', async () => {
      const newer = changedBuild(['LINK_VERSION = 2', 'LINK_VERSION = 3']);
      const { start } = deployment(sharedDeployment(kind));
      const owner = await start({}, newer);
      const other = await start({ SOJOURN_MAX_WAIT_MS: '0' });
      const near = openClient(owner.url);
      await near.initialize();
      expect(await say(near, 'count')).toBe('1 restored false');
      const client = openClient(other.url, { of: near });
      expect(refusalOf((await client.call('ping')).response)).toBe('restore_failed');
      await until(() =>
        /another version of the protocol between instances/.test(other.cli.output.stderr),
      );
      expect(await say(near, 'count')).toBe('2 restored false');
      await kill(owner.cli);
      await until(async () => (await client.call('ping')).message.error === undefined, {
        what: 'it to be taken over',
      });
      expect(await say(client, 'count')).toBe('3 restored true');
    });

  test('a record of another format is refused and named in the log, never 404; what this build wrote it still serves', async () => {
    const newer = changedBuild(['RECORD_VERSION = 1', 'RECORD_VERSION = 2']);
    const { start } = deployment(sharedDeployment(kind));
    const owner = await start({}, newer);
    const other = await start({ SOJOURN_MAX_WAIT_MS: '0' });
    const [theirs, ours] = [openClient(owner.url), openClient(other.url)];
    await Promise.all([theirs.initialize(), ours.initialize()]);
    expect(await say(theirs, 'count')).toBe('1 restored false');
    expect(refusalOf((await openClient(other.url, { of: theirs }).call('ping')).response)).toBe(
      'store_unavailable',
    );
    expect(await say(ours, 'count')).toBe('1 restored false');
    // The newer one reads what the older one writes.
    const through = openClient(owner.url, { of: ours });
    expect(await say(through, 'count')).toBe('2 restored false');
    await kill(other.cli);
    expect(await say(through, 'count')).toBe('3 restored true');
    expect(await say(theirs, 'count')).toBe('2 restored false');
  });
});
