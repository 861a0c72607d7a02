/** `sojourn handles ls | show | end`, and `endpoint.handles`, on one store. */
import { expect, test } from 'vitest';
import { type HandleInfo, openHandle, userState } from '../../src/index.ts';
import { callerAt, registerRun } from '../durable/state/kit.ts';
import { toolServer } from '../kit/tool-server.ts';
import { newFile, runHere } from './here.ts';

const auth = {
  anonymous: true,
  trustedProxyUser: { header: 'x-user', from: ['127.0.0.0/8', '::1/128'] },
};

test('handles are listed, shown and ended by the command and by the endpoint, and no secret of theirs is printed', async () => {
  const { env, serve } = newFile();
  const served = await serve(toolServer({}, registerRun), { auth });
  const { handles } = served.endpoint;
  const [ada, nobody] = [
    await callerAt(served, '2026-07-28', 'ada'),
    await callerAt(served, '2026-07-28'),
  ];
  const initial = { items: ['secret'] };
  const { id } = await ada(() => openHandle('cart', undefined, { initial }));
  const other = await nobody(() => openHandle('game'));
  await ada(() => openHandle('game'));
  const key = JSON.stringify(['sub', '', 'ada']);
  const all: HandleInfo[] = [];
  for await (const handle of handles.list({ limit: 1 })) all.push(handle);
  const [cart] = (await handles.list({ userKey: key })).handles.filter(
    ({ kind }) => kind === 'cart',
  ) as [HandleInfo];
  expect([all.length, await handles.count(), await handles.count(key)]).toEqual([3, 3, 2]);
  expect(await handles.get(cart.hash)).toEqual(cart);
  expect(cart).toMatchObject({ kind: 'cart', userKey: key, bytes: 15 });
  await expect(handles.list({ limit: 0 })).rejects.toMatchObject({ code: 'OPTION_INVALID' });

  const run = (...args: string[]) => runHere(['handles', ...args], { env });
  const [list, own] = [await run('ls'), await run('ls', '--user', 'ada', '--json')];
  expect(list.stdout).toMatch(
    /^HASH +KIND +CREATED +EXPIRES +BYTES +INSTANCE +OPENED +USER\n([\w-]{9,16}\.[\w-]{22} .*\n){3}\n3 handles\n$/,
  );
  expect(
    own.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as object),
  ).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ hash: cart.hash, kind: 'cart', userKey: key, userName: 'ada' }),
    ]),
  );
  expect(JSON.parse((await run('show', cart.hash)).stdout)).toMatchObject({
    hash: cart.hash,
    state: { items: 10 },
  });
  const refused = await run('end', cart.hash);
  expect([refused.code, refused.stderr]).toEqual([
    1,
    expect.stringMatching(/^sojourn: nothing was done to[^]*--yes/),
  ]);
  for (const { stdout, stderr } of [list, own, refused])
    for (const secret of [id, other.id, 'secret']) expect(stdout + stderr).not.toContain(secret);
  expect((await run('end', cart.hash, '--yes')).stdout).toBe(`ended ${cart.hash}\n`);
  expect([await handles.get(cart.hash), await handles.end(cart.hash)]).toEqual([undefined, false]);
  await expect(ada(() => openHandle('cart', id))).rejects.toThrow('There is no cart');
  const again = await run('end', cart.hash, '--yes');
  expect([again.code, again.stderr]).toEqual([
    1,
    expect.stringContaining('as `handles ls` prints it'),
  ]);
  const [game] = (await handles.list({ userKey: key })).handles as [HandleInfo];
  expect([await handles.end(game.hash), await handles.count(key)]).toEqual([true, 0]);

  await ada(() => userState().set('n', 1));
  await ada(() => openHandle('cart'));
  const legacy = await callerAt(served, '2025-11-25', 'ada');
  await legacy(() => openHandle('cart'));
  const forget = (...args: string[]) => runHere(['users', 'forget', ...args], { env });
  expect((await forget('ada')).stderr).toMatch(
    /^sojourn: nothing was done to\n[^]*"handles": 2[^]*\nWith --yes all of it ends/,
  );
  expect((await forget('ada', '--yes')).stdout).toBe(
    'forgotten: 1 sessions, 0 tasks, 2 handles, a state\n',
  );
  expect((await forget('ada', '--yes')).stderr).toContain('nothing is kept of this user');
  await expect(ada(() => userState().set('n', 2))).rejects.toThrow('deleted today');
  expect(await handles.count()).toBe(1);
});
