/** `sojourn once show` and `once forget` on the file of a server whose calls end in every way. */
import { expect, test } from 'vitest';
import { z } from 'zod';
import { once } from '../../src/durable/once/index.ts';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import { createLab, textOf } from '../kit/lab.ts';
import { hashOf } from '../kit/log.ts';
import { callModern, postModern } from '../kit/modern.ts';
import { said } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { loseLease, watchedStore } from '../kit/watched-store.ts';
import { newFile, runHere } from './here.ts';

test('says whether a key runs and how it ended, and nothing of its arguments and its result', async () => {
  const { serve, run } = newFile();
  let runs = 0;
  const lab = createLab((server) => {
    const pay = once(
      ({ key }: { key: string }): Promise<ReturnType<typeof said>> => {
        runs += 1;
        if (key === 'throws') throw new Error('secret cause');
        return key === 'runs' ? new Promise(() => {}) : Promise.resolve(said('secret result'));
      },
      { key: ({ key }) => key, anonymous: 'shared' },
    );
    server.registerTool('pay', { inputSchema: z.object({ key: z.string() }) }, pay);
  });
  const client = (await serve(lab.factory, { keepAliveMs: 20 })).client();
  for (const key of ['done', 'throws'])
    await callModern(client, 'tools/call', { name: 'pay', arguments: { key } });
  await postModern(client, 'tools/call', { name: 'pay', arguments: { key: 'runs' } });
  await until(() => runs === 3);
  const show = (key: string, ...flags: string[]) => run('once', 'show', 'pay', key, ...flags);
  const told: string[] = [];
  for (const key of ['done', 'throws', 'runs']) told.push((await show(key, '--anonymous')).stdout);
  expect(told.map((text) => JSON.parse(text) as unknown)).toMatchObject([
    {
      tool: 'pay',
      key: 'done',
      state: 'ended',
      outcome: 'result',
      bytes: expect.any(Number) as number,
    },
    { key: 'throws', means: 'the handler threw: calls with this key get the same error' },
    {
      state: 'running',
      startedAt: expect.stringMatching(/^\d{4}-.*Z$/) as string,
      instance: expect.stringContaining(' serving') as string,
    },
  ]);
  expect(told.join('')).not.toContain('secret');
  const unknown = await show('never', '--anonymous');
  expect(unknown).toMatchObject({ code: 1, stdout: '' });
  expect(unknown.stderr).toMatch(
    /nothing is known of this key: if .* are right, the next call runs\. Set --deployment to /,
  );
  expect((await show('done', '--user', 'ada')).code).toBe(1);
  expect(await show('done')).toMatchObject({ code: 2 });
  expect((await show('done', '--user', 'ada', '--anonymous')).stderr).toContain(
    'takes one of --user',
  );

  const forget = (key: string, ...flags: string[]) =>
    run('once', 'forget', 'pay', key, '--anonymous', ...flags);
  const call = async () =>
    callModern(client, 'tools/call', { name: 'pay', arguments: { key: 'done' } });
  const kept = await forget('done');
  expect(kept).toMatchObject({ code: 1, stdout: '' });
  expect(kept.stderr).toMatch(
    /^sojourn: nothing was done to\n[^]*"tool": "pay",\n +"key": "done"[^]*Give --yes/,
  );
  expect((await call()).message.result).toMatchObject({ _meta: { 'sojourn/replayed': true } });
  expect(runs).toBe(3);
  expect(await forget('done', '--yes')).toMatchObject({
    code: 0,
    stdout: 'forgotten: the next call runs\n',
  });
  expect((await call()).message.result).not.toHaveProperty(['_meta', 'sojourn/replayed']);
  expect(runs).toBe(4);
  expect(await forget('throws', '--yes')).toMatchObject({
    code: 0,
    stdout: 'forgotten: the next call runs\n',
  });
  const running = await forget('runs', '--yes');
  expect(running).toMatchObject({ code: 1, stdout: '' });
  expect(running.stderr).toMatch(/this key runs now, at \S+/);
  expect((await forget('never', '--yes')).stderr).toContain('nothing is known of this key');
});

test('a key of a session is found by the hash of the session, as the log has it, while the session lives', async () => {
  const { serve, run } = newFile();
  const lab = createLab((server) => {
    server.registerTool(
      'pay',
      {},
      once(() => Promise.resolve(said('paid')), { key: () => 'k' }),
    );
  });
  const client = (await serve(lab.factory)).client();
  await client.initialize();
  const sessionId = client.sessionId ?? '';
  await client.call('tools/call', { name: 'pay', arguments: {} });
  const onceKey = (what: string, session: string) =>
    run('once', what, 'pay', 'k', '--session', session, ...(what === 'forget' ? ['--yes'] : []));
  const hash = hashOf(sessionId);
  const byId = await onceKey('show', sessionId);
  expect(byId).toMatchObject({ code: 0, stdout: expect.stringContaining('ended') as string });
  for (const given of [hash, hash.slice(0, 5)]) expect(await onceKey('show', given)).toEqual(byId);
  expect(await onceKey('forget', hash)).toMatchObject({ code: 0 });
  expect(await onceKey('show', hash)).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringContaining('nothing is known') as string,
  });
  await client.delete();
  const over = await onceKey('show', hash);
  expect(over).toMatchObject({ code: 1, stdout: '' });
  expect(over.stderr).toContain(
    `no session "${hash}" in this store: it is found by its id, or while it lives by`,
  );
  const short = await onceKey('show', 'abc');
  expect(short.stderr).toContain('4 digits');
});

/** Two instances on one file with the tools `pay` and `again` (`afterCrash: 'run'`). Runs at the first one hang. */
async function twoInstances() {
  const { serve, file, env } = newFile();
  const runs: string[] = [];
  const member = async (hangs: boolean) => {
    const lab = createLab((server) => {
      for (const [tool, afterCrash] of Object.entries({ pay: 'fail', again: 'run' } as const)) {
        const run = ({ key }: { key: string }) => {
          runs.push(`${tool} ${key}`);
          return hangs ? new Promise<never>(() => {}) : said(key);
        };
        const handler = once(run, { key: ({ key }) => key, anonymous: 'shared', afterCrash });
        server.registerTool(tool, { inputSchema: z.object({ key: z.string() }) }, handler);
      }
    });
    const store = watchedStore({ durable: true, inner: sqlite(file) });
    const { client, endpoint } = await serve(lab.factory, { store, keepAliveMs: 20 });
    const raw = client();
    const call = async (tool: string, key: string) => {
      const { message } = await callModern(raw, 'tools/call', { name: tool, arguments: { key } });
      return textOf(message) ?? JSON.stringify(message.error?.data);
    };
    return { call, raw, lose: () => loseLease(store, endpoint.health().instance) };
  };
  const [first, second] = [await member(true), await member(false)];
  /** `between`: after the look and before the write. */
  const forget = (
    tool: string,
    key: string,
    between: () => unknown = () => undefined,
  ): Promise<string> =>
    runHere(['once', 'forget', tool, key, '--anonymous', '--yes'], { env, between }).then(
      ({ stdout, stderr }) => stdout + stderr,
      (error: Error) => error.message,
    );
  /** A call whose instance dies in its handler. */
  const crashed = async (tool: string, key: string) => {
    await postModern(first.raw, 'tools/call', { name: tool, arguments: { key } });
    await until(() => runs.includes(`${tool} ${key}`));
  };
  const countOf = (run: string): number => runs.filter((one) => one === run).length;
  return { call: second.call, lose: first.lose, forget, crashed, countOf };
}

test('a key whose run was lost runs again once it is forgotten; a key that a call has used since is not forgotten', async () => {
  const { call, lose, forget, crashed, countOf } = await twoInstances();
  for (const [tool, key] of [
    ['pay', 'lost'],
    ['pay', 'k'],
    ['again', 'k'],
  ] as const)
    await crashed(tool, key);
  await lose();
  expect(await call('pay', 'lost')).toContain('"owner_lost"');
  expect(await forget('pay', 'lost')).toMatch(/^forgotten/);
  expect(await call('pay', 'lost')).toBe('lost');
  // A call takes it over, and ends it.
  for (const tool of ['again', 'pay'])
    expect(await forget(tool, 'k', () => call(tool, 'k'))).toContain(
      'a call has used this key since',
    );
  expect([await call('again', 'k'), countOf('again k')]).toEqual(['k', 2]);
  expect(await call('pay', 'k')).toContain('"owner_lost"');
  // A run that was forgotten and began again is another one.
  const second = async (): Promise<void> => {
    expect(await forget('pay', 'k')).toMatch(/^forgotten/);
    expect(await call('pay', 'k')).toBe('k');
  };
  expect(await forget('pay', 'k', second)).toContain('a call has used this key since');
  expect(countOf('pay k')).toBe(2);
});

test('calls and forgets at once: a key runs once, and once more for each time that it was forgotten', async () => {
  const { call, forget, countOf } = await twoInstances();
  let forgotten = 0;
  for (let round = 0; round < 10; round++) {
    const said = [forget('pay', 'k'), forget('pay', 'k')];
    expect(await Promise.all([call('pay', 'k'), call('pay', 'k')])).toEqual(['k', 'k']);
    forgotten += (await Promise.all(said)).filter((one) => one.startsWith('forgotten')).length;
    expect(countOf('pay k')).toBeLessThanOrEqual(1 + forgotten);
  }
  expect(forgotten).toBeGreaterThan(0);
  expect(await call('pay', 'k')).toBe('k');
  expect(countOf('pay k')).toBeGreaterThanOrEqual(forgotten);
});
