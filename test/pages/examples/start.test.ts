/** `npm start`: the everything example, on the embedded store. */
import { expect, test } from 'vitest';
import manifest from '../../../package.json' with { type: 'json' };
import { startNode } from '../../kit/child-process.ts';
import { say } from '../../kit/lab.ts';
import { openClient } from '../../kit/listening.ts';
import { temporaryFolder } from '../../kit/temporary.ts';

/** The script, with the database in `folder`: the one of the checkout may have been used. */
async function start(folder: string) {
  const script = manifest.scripts.start.replaceAll('.sojourn', folder);
  const { says, stop } = startNode(['-c', `${script} --port 0 --log-level warn`], {
    program: 'sh',
    env: { ...process.env, SOJOURN_STORE: '' },
  });
  const url = await says(/^ {2}endpoint +(\S+)$[^]*^ {2}store +sqlite:\S+everything\.db$/m);
  return { url, stop };
}

test('the session of a client continues after Ctrl+C and another npm start', async () => {
  const folder = temporaryFolder();
  const first = await start(folder);
  const client = openClient(first.url);
  await client.initialize();
  expect(await say(client, 'counter')).toBe('call 1');
  client.close();
  expect(await first.stop('SIGINT')).toBe(0);
  const second = await start(folder);
  const again = openClient(second.url, { of: client });
  expect(await say(again, 'counter')).toBe('call 2');
  expect((await again.delete()).status).toBe(200);
  again.close();
  expect(await second.stop('SIGINT')).toBe(0);
});
