/** Beside a build of tomorrow that this one cannot understand: it says so, and loses nothing. */
import { describe, expect, test } from 'vitest';
import { deployment, kill } from '../cli/deployment.ts';
import { say } from '../kit/lab.ts';
import { openClient } from '../kit/listening.ts';
import { inMatrix } from '../kit/matrix.ts';
import { refusalOf } from '../kit/refusals.ts';
import { type DurableKind, durableKinds, sharedDeployment, useSharedStores } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';
import { changedBuild } from './builds.ts';

useSharedStores();

describe.each(inMatrix<DurableKind>(durableKinds, ['sqlite']))('on the store %s', (kind) => {
  // Messages between instances are the same on every store; a store only carries them.
  const isEven = durableKinds.indexOf(kind) % 2 === 0;
  if (isEven)
    test('an owner that speaks another protocol is not relayed to: requests are refused until it is gone, then its sessions are served', async () => {
      const newer = changedBuild(['LINK_VERSION = 1', 'LINK_VERSION = 2']);
      const { start } = deployment(sharedDeployment(kind));
      const owner = await start({}, newer);
      const other = await start({ SOJOURN_WAIT_MS: '0' });
      const near = openClient(owner.url);
      await near.initialize();
      expect(await say(near, 'count')).toBe('1 restored false');
      const client = openClient(other.url, { of: near });
      expect(refusalOf((await client.call('ping')).response)).toBe('restore_failed');
      await until(() => /another version of the protocol between instances/.test(other.cli.output.stderr));
      expect(await say(near, 'count')).toBe('2 restored false');
      await kill(owner.cli);
      await until(async () => (await client.call('ping')).message.error === undefined, { what: 'it to be taken over' });
      expect(await say(client, 'count')).toBe('3 restored true');
    });

  test('a record of another format is refused and named in the log, never 404; what this build wrote it still serves', async () => {
    const newer = changedBuild(['RECORD_VERSION = 1', 'RECORD_VERSION = 2']);
    const { start } = deployment(sharedDeployment(kind));
    const owner = await start({}, newer);
    const other = await start({ SOJOURN_WAIT_MS: '0' });
    const [theirs, ours] = [openClient(owner.url), openClient(other.url)];
    await Promise.all([theirs.initialize(), ours.initialize()]);
    expect(await say(theirs, 'count')).toBe('1 restored false');
    expect(refusalOf((await openClient(other.url, { of: theirs }).call('ping')).response)).toBe('store_away');
    expect(await say(ours, 'count')).toBe('1 restored false');
    // The newer one reads what the older one writes.
    const through = openClient(owner.url, { of: ours });
    expect(await say(through, 'count')).toBe('2 restored false');
    await kill(other.cli);
    expect(await say(through, 'count')).toBe('3 restored true');
    expect(await say(theirs, 'count')).toBe('2 restored false');
  });
});
