/** `sojourn handles` and `users forget` beside open objects of `live()`: where they are, and that they close at once. */
import { expect, test } from 'vitest';
import { live, type LiveObject } from '../../src/index.ts';
import { textOf } from '../kit/lab.ts';
import { callModern } from '../kit/modern.ts';
import type { Served } from '../kit/serve.ts';
import { said, type Tool, toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { linesOf, newFile, runHere } from './here.ts';

interface Desk {
  readonly no: number;
}

/** Two instances with a tool whose objects open and close, as `seen` says. */
async function openDesks() {
  const { env, serve } = newFile();
  const seen: string[] = [];
  let last = 0;
  const use = live<Desk, Record<string, unknown>, unknown, ReturnType<typeof said>>(
    {
      kind: 'desk',
      id: ({ desk }) => desk as string | undefined,
      open: () => {
        seen.push(`open ${(last += 1)}`);
        return { no: last };
      },
      close: ({ no }) => void seen.push(`close ${no}`),
    },
    async (_args, _ctx, { object, handle }: LiveObject<Desk>) => {
      const n = await handle.state.update('n', (before: number = 0) => before + 1);
      return said(`${handle.id} ${n} ${object.no}`);
    },
  ) as Tool;
  const auth = {
    anonymous: true,
    trustedProxyUser: { header: 'x-user', from: ['127.0.0.0/8', '::1/128'] },
  };
  // What is not told is found within a lease: that would be too late for these tests.
  const options = { auth, leaseMs: 60_000 };
  const members = [
    await serve(toolServer({ use }), options),
    await serve(toolServer({ use }), options),
  ] as [Served, Served];
  const run = (...args: string[]) => runHere(args, { env });
  const call = async (at: Served, desk?: string): Promise<string[]> => {
    const client = at.client({ headers: { 'x-user': 'ada' } });
    const params = { name: 'use', arguments: { ...(desk !== undefined && { desk }) } };
    return String(textOf((await callModern(client, 'tools/call', params)).message)).split(' ');
  };
  return { seen, members, run, call };
}

const closes = (seen: readonly string[], no: number): Promise<unknown> =>
  until(() => seen.includes(`close ${no}`), { what: 'the object closes', timeoutMs: 5_000 });

test('handles ls and show say where an object is open and since when, and show takes a part of the hash', async () => {
  const { members, run, call } = await openDesks();
  const [a, b] = members;
  const before = Date.now();
  const [desk] = (await call(a)) as [string];
  await call(b, desk);
  const [row] = linesOf((await run('handles', 'ls', '--json')).stdout);
  const { hash, openedAt } = row as { hash: string; openedAt: number };
  expect(row).toMatchObject({ kind: 'desk', instance: a.endpoint.health().instance });
  expect(Number.isInteger(row?.['expiresAt'])).toBe(true);
  expect([openedAt >= before, openedAt <= Date.now()]).toEqual([true, true]);
  expect((await run('handles', 'ls')).stdout).toMatch(
    /^HASH +KIND +CREATED +EXPIRES +BYTES +INSTANCE +OPENED +USER\n/,
  );
  for (const part of [hash, hash.slice(0, 6), hash.slice(hash.indexOf('.') + 1).slice(0, 4)]) {
    const shown = JSON.parse((await run('handles', 'show', part)).stdout) as object;
    expect(shown).toMatchObject({
      hash,
      instance: a.endpoint.health().instance,
      ownerState: 'serving',
      pid: process.pid,
    });
  }
  for (const part of [hash.slice(0, 3), 'nothing'])
    expect((await run('handles', 'show', part)).stderr).toContain('there is no handle');
  expect(desk).not.toContain(hash);
});

test('B283 handles close closes the object where it is open: handle and state stay, and the next call opens it again', async () => {
  const { seen, members, run, call } = await openDesks();
  const [a, b] = members;
  const [desk] = (await call(a)) as [string];
  const { hash } = linesOf((await run('handles', 'ls', '--json')).stdout)[0] as { hash: string };
  const closed = await run('handles', 'close', hash.slice(-7), '--wait', '5s');
  expect(closed.stderr).toContain('there is no handle');
  const done = await run('handles', 'close', hash, '--wait', '5s');
  expect([done.stderr, done.stdout]).toEqual([
    '',
    `closed the object of ${hash} at ${a.endpoint.health().instance}\n`,
  ]);
  expect(seen).toEqual(['open 1', 'close 1']);
  const again = await run('handles', 'close', hash);
  expect([again.code, again.stderr]).toEqual([
    1,
    expect.stringContaining('no instance has an object of this handle open'),
  ]);
  expect(await call(b, desk)).toEqual([desk, '2', '2']);
  expect(linesOf((await run('handles', 'ls', '--json')).stdout)).toMatchObject([
    { hash, instance: b.endpoint.health().instance },
  ]);
});

test('handles end and users forget say what was open, and its instance closes it at once', async () => {
  const { seen, members, run, call } = await openDesks();
  const [a, b] = members;
  await call(a);
  const [first] = linesOf((await run('handles', 'ls', '--json')).stdout);
  const hash = String(first?.['hash']);
  expect((await run('handles', 'end', hash, '--yes')).stdout).toBe(
    `ended ${hash}\ninstance ${a.endpoint.health().instance} has its object open, and closes it\n`,
  );
  await closes(seen, 1);
  await call(a);
  await call(b);
  const forgotten = await run('users', 'forget', 'ada', '--yes');
  expect(forgotten.stdout).toBe(
    'forgotten: 0 sessions, 0 tasks, 2 handles (2 with an open object, which closes), no state\n',
  );
  await closes(seen, 2);
  await closes(seen, 3);
});
