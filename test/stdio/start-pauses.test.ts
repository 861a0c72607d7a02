/** A program that ends at its start is started again after a pause. */
import { existsSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ChildEnded } from '../../src/stdio/child.ts';
import { StartPauses } from '../../src/stdio/start-pauses.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import { callModern } from '../kit/modern.ts';
import { temporaryFolder } from '../kit/temporary.ts';
import { until } from '../kit/until.ts';
import { as, auth, SCRIPTED, serveScripted } from './serving.ts';

const CRASH = new ChildEnded('node ended: exit code 3', 'no API_KEY');

test('each end at a start after the third doubles the pause, up to 8 s, for that caller alone', async () => {
  const time = createFakeTime();
  const pauses = new StartPauses(time);
  const isPaused = (owner: string): boolean => {
    try {
      pauses.check(owner);
      return false;
    } catch (cause) {
      expect(cause).toMatchObject({
        message: expect.stringMatching(/^node ended: exit code 3 at its start/),
        stderr: CRASH.stderr,
      });
      return true;
    }
  };
  for (const _ of [1, 2, 3]) pauses.ended('ann', CRASH);
  expect(isPaused('ann')).toBe(false);
  for (const seconds of [1, 2, 4, 8, 8]) {
    pauses.ended('ann', CRASH);
    // Others that started at the same time.
    pauses.ended('ann', CRASH);
    await time.advance(seconds * 1_000 - 1);
    expect([isPaused('ann'), isPaused('bob')]).toEqual([true, false]);
    await time.advance(1);
    expect(isPaused('ann')).toBe(false);
  }
  pauses.answered('ann');
  for (const _ of [1, 2, 3]) pauses.ended('ann', CRASH);
  expect(isPaused('ann')).toBe(false);
  await time.advance(60_000);
  pauses.ended('ann', CRASH);
  expect(isPaused('ann')).toBe(false);
});

test('callers beyond a number are forgotten, the oldest first', () => {
  const pauses = new StartPauses(createFakeTime());
  const names = Array.from({ length: 1_001 }, (_, n) => `user ${n}`);
  for (const name of names) for (const _ of [1, 2, 3, 4]) pauses.ended(name, CRASH);
  expect(() => pauses.check('user 1000')).toThrow('exit code 3');
  expect(() => pauses.check('user 0')).not.toThrow();
});

test('a program that ends at `server/discover` is served, and no line says that a child ended', async () => {
  const { openSession, lines } = await serveScripted({ words: ['shy'] });
  expect((await (await openSession()).call('ping')).message.result).toEqual({});
  expect(lines.filter((line) => line.startsWith('A child ended'))).toEqual([]);
});

/** Counts its starts in the first file, and ends at once if the other one is there or `BAD` is set. */
const FAILS =
  'echo >> "$1"; test -n "$BAD" -o -e "$2" && { echo no API_KEY >&2; exit 3; }; shift 2; exec "$@"';

async function serveFailing(more: object = {}, words: readonly string[] = [], options = {}) {
  const folder = temporaryFolder();
  const [counted, broken] = [join(folder, 'starts'), join(folder, 'broken')];
  const args = ['-c', FAILS, 'sh', counted, broken, process.execPath, SCRIPTED, ...words];
  const served = await serveScripted({ command: '/bin/sh', args, ...more }, options);
  const starts = (): number => (existsSync(counted) ? readFileSync(counted, 'utf8').length : 0);
  return {
    ...served,
    starts,
    fail: () => writeFileSync(broken, ''),
    mend: () => unlinkSync(broken),
  };
}

/** Three starts are free. After the fourth there is one in a second at most. */
const mostStarts = (since: number): number => 4 + Math.ceil((performance.now() - since) / 1_000);

test.each([
  ['2025', []],
  ['2026-07-28', ['modern', 'only']],
])(
  'a program of %s that ends at its start is started a few times, not once for each call, and its clients get the reason',
  async (_, words) => {
    const served = await serveFailing({ stderrToClients: true }, words);
    const call = async () =>
      callModern(served.client(), 'tools/call', { name: 'count', arguments: {} });
    expect((await call()).message.error).toBeUndefined();
    const [before, since] = [served.starts(), performance.now()];
    served.fail();
    const errors: string[] = [];
    for (let n = 0; n < 20; n += 1) errors.push(String((await call()).message.error?.message));
    expect(served.starts() - before).toBeLessThanOrEqual(mostStarts(since));
    for (const error of errors) expect(error).toContain('exit code 3');
    expect(errors.join('\n')).toMatch(
      /started again in \d s; it wrote: no API_KEY; the call did not run/,
    );
    served.mend();
    await until(async () => (await call()).message.error === undefined);
  },
);

test('before a program has started once, it is asked what it is after pauses too', async () => {
  const served = await serveFailing();
  const since = performance.now();
  served.fail();
  for (let n = 0; n < 20; n += 1) {
    const { message } = await served.client().initialize();
    expect(message.error?.message).toContain('exit code 3');
  }
  // Each time it gets two starts: one with `server/discover`.
  expect(served.starts()).toBeLessThanOrEqual(2 * mostStarts(since));
  served.mend();
  await until(async () => (await served.client().initialize()).message.error === undefined);
});

test('a caller whose variables end the program at its start delays no other caller', async () => {
  const served = await serveFailing({ userEnv: { BAD: 'header:x-bad' } }, [], { auth });
  const visit = (user: string, headers = {}) =>
    served.client({ headers: { ...as(user).headers, ...headers } }).initialize();
  expect((await visit('bob')).message.result).toBeDefined();
  const bad = async () => String((await visit('ann', { 'x-bad': '1' })).message.error?.message);
  await until(async () => (await bad()).includes('exit code 3 at its start'));
  expect((await visit('bob')).message.result).toBeDefined();
});
