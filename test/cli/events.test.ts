/** `sojourn events ls | show | check | end`, and `users forget`, on the store of an endpoint that delivers. */
import { expect, test } from 'vitest';
import { ask, eventsOf, newSecret, openCallbacks, subscription } from '../kit/callback.ts';
import { toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { newFile, runHere } from './here.ts';

const auth = {
  anonymous: true,
  trustedProxyUser: { header: 'x-user', from: ['127.0.0.0/8', '::1/128'] },
};

test('subscriptions are listed, shown, checked and ended, and no secret of theirs is printed', async () => {
  const { env, serve } = newFile();
  const served = await serve(
    toolServer({}, () => {}),
    { auth, ...eventsOf({ note: {} }) },
  );
  const callbacks = await openCallbacks();
  const [good, bad] = [callbacks.path('good'), callbacks.path('bad?token=hidden')];
  const secret = newSecret();
  await ask(served.client(), 'subscribe', subscription(good.url, { secret }), 'ada');
  const { result } = await ask(served.client(), 'subscribe', subscription(bad.url), 'bob');
  const id = String(result['id']);
  bad.status = 503;
  await served.endpoint.emit('note', { text: 'x' });
  await until(() => good.events.length === 1);

  const run = (...args: string[]) => runHere(['events', ...args], { env });
  await until(async () => (await run('ls')).stdout.includes('http_5xx'));
  const list = await run('ls');
  expect(list.stdout).toMatch(
    /^SUBSCRIPTION +EVENT +STATE +LAST ERROR +FAILS SINCE +EXPIRES +HOST +USER\n(sub_[\w-]{22} +note +.*\n){2}\n2 subscriptions: (1 live, 1 behind|1 behind, 1 live)\n$/,
  );
  const own = await run('ls', '--user', 'ada', '--json');
  expect(JSON.parse(own.stdout)).toMatchObject({ event: 'note', status: 'live', userName: 'ada' });
  const shown = await run('show', id.slice(0, 12));
  const url = bad.url.replace(/\?.*$/, '');
  expect(JSON.parse(shown.stdout)).toMatchObject({ subscription: id, lastError: 'http_5xx', url });
  const asked = await run('check', id);
  expect([asked.code, asked.stdout]).toEqual([
    0,
    expect.stringContaining('answered the challenge'),
  ]);
  bad.lie = true;
  const wrong = await run('check', id);
  expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining('challenge_failed')]);

  const refused = await run('end', id);
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('--yes')]);
  for (const { stdout, stderr } of [list, own, shown, asked, refused])
    expect(`${stdout}${stderr}`).not.toMatch(new RegExp(`hidden|${secret.slice(6, 20)}`));
  expect((await run('end', id, '--yes')).stdout).toBe(`ended ${id}\n`);
  expect((await run('show', id)).stderr).toContain('as `events ls` prints it');
  const { posts } = bad;
  const forgotten = await runHere(['users', 'forget', 'ada', '--yes'], { env });
  expect(forgotten.code).toBe(0);
  const heard = good.events.length;
  await served.endpoint.emit('note', { text: 'to none' });
  const last = callbacks.path('last');
  await ask(served.client(), 'subscribe', subscription(last.url), 'eve');
  await served.endpoint.emit('note', { text: 'to eve' });
  await until(() => last.events.length === 1);
  expect([bad.posts, good.events.length]).toEqual([posts, heard]);
});
