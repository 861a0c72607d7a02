/** Beside a build of tomorrow that this one cannot understand: it says so, and loses nothing. */
import { describe, expect, test } from 'vitest';
import { clientOf, count, deployment, kill } from '../cli/deployment.ts';
import { refusalOf } from '../kit/refusals.ts';
import { durableKinds, sharedDeployment, useSharedStores } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';
import { changedBuild } from './builds.ts';

useSharedStores();

describe.each(durableKinds)('on the store %s', (kind) => {
  // Messages between instances are the same on every store; a store only carries them.
  const isEven = durableKinds.indexOf(kind) % 2 === 0;
  if (isEven)
    test('an owner that speaks another protocol is not relayed to: requests are refused until it is gone, then its sessions are served', async () => {
      const newer = changedBuild(['LINK_VERSION = 1', 'LINK_VERSION = 2']);
      const { start } = deployment(sharedDeployment(kind));
      const owner = await start({}, newer);
      const other = await start({ SOJOURN_WAIT_MS: '0' });
      const near = clientOf(owner.url);
      await near.initialize();
      expect(await count(near)).toBe('1 restored false');
      const client = clientOf(other.url, near);
      expect(refusalOf((await client.call('ping')).response)).toBe('restore_failed');
      await until(() => /another version of the protocol between instances/.test(other.cli.output.stderr));
      expect(await count(near)).toBe('2 restored false');
      await kill(owner.cli);
      await until(async () => (await client.call('ping')).message.error === undefined, { what: 'it to be taken over' });
      expect(await count(client)).toBe('3 restored true');
    });

  test('a record of another format is refused and named in the log, never 404; what this build wrote it still serves', async () => {
    const newer = changedBuild(['RECORD_VERSION = 1', 'RECORD_VERSION = 2']);
    const { start } = deployment(sharedDeployment(kind));
    const owner = await start({}, newer);
    const other = await start({ SOJOURN_WAIT_MS: '0' });
    const [theirs, ours] = [clientOf(owner.url), clientOf(other.url)];
    await Promise.all([theirs.initialize(), ours.initialize()]);
    expect(await count(theirs)).toBe('1 restored false');
    expect(refusalOf((await clientOf(other.url, theirs).call('ping')).response)).toBe('store_away');
    expect(await count(ours)).toBe('1 restored false');
    // The newer one reads what the older one writes.
    const through = clientOf(owner.url, ours);
    expect(await count(through)).toBe('2 restored false');
    await kill(other.cli);
    expect(await count(through)).toBe('3 restored true');
    expect(await count(theirs)).toBe('2 restored false');
  });
});
