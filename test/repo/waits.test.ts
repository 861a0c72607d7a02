/** A wait of a test that ends in vain says where the instances stand (`test/kit/waits.ts`). */
import { expect, test } from 'vitest';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import { createLab, toolCall } from '../kit/lab.ts';
import { serve } from '../kit/serve.ts';
import { temporaryFolder } from '../kit/temporary.ts';
import { until } from '../kit/until.ts';

const vain = (): Promise<string> =>
  until(() => false, { timeoutMs: 100, what: 'the end' }).then(String, String);

test('each instance with its state, its lease, its sessions with their running calls, and the log', async () => {
  const path = `${temporaryFolder()}/a.db`;
  const lab = createLab();
  const [one, two] = [
    await serve(lab.factory, { store: sqlite({ path }) }),
    await serve(lab.factory, { store: sqlite({ path }) }),
  ];
  const client = await one.openSession();
  const running = client.call('tools/call', { name: 'hold', arguments: {} });
  const held = await lab.held();
  // Of a session that is live at the other instance.
  const relayed = await two.client({ of: client }).post(toolCall('r', 'hold'));
  const relayedHeld = await lab.held(1);
  const said = await vain();
  expect(said).toMatch(
    /^Error: not within 100 ms: the end\ninstance 1 \([\w-]+\): serving, store ok/,
  );
  expect(said).toMatch(/instance 1[^]*\n {2}lease: valid for \d+ ms\n {2}owns 1 sessions/);
  expect(said).toMatch(/tools\/call hold \(id \d+\): runs, reader open/);
  expect(said).toMatch(/tools\/call hold \(id r\): runs/);
  expect(said).toMatch(/instance 2[^]*owns 0 sessions; 1 requests open or look for one/);
  expect(said).toMatch(/log 1, info: A client connected/);
  held.answer('done');
  relayedHeld.answer('done');
  await Promise.all([running, relayed.untilEnd()]);
});
