/** `npm start`: the everything example, on the embedded store. */
import { expect, test } from 'vitest';
import manifest from '../../../package.json' with { type: 'json' };
import { startNode } from '../../kit/child-process.ts';
import { say } from '../../kit/lab.ts';
import { openClient } from '../../kit/listening.ts';

async function start() {
  const { says, stop } = startNode(['-c', `${manifest.scripts.start} --port 0 --log-level warn`], {
    program: 'sh',
    env: { ...process.env, SOJOURN_STORE: '' },
  });
  const url = await says(/^ {2}endpoint +(\S+)$[^]*^ {2}store +sqlite:\S+everything\.db$/m);
  return { url, stop };
}

test('the session of a client continues after Ctrl+C and another npm start', async () => {
  const first = await start();
  const client = openClient(first.url);
  await client.initialize();
  expect(await say(client, 'counter')).toBe('call 1');
  client.close();
  expect(await first.stop('SIGINT')).toBe(0);
  const second = await start();
  const again = openClient(second.url, { of: client });
  expect(await say(again, 'counter')).toBe('call 2');
  expect((await again.delete()).status).toBe(200);
  again.close();
  expect(await second.stop('SIGINT')).toBe(0);
});
