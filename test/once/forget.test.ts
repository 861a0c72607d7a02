// @module-tag matrix
/** `sojourn once forget` beside instances that use the key: what it forgets runs again, and nothing else does. */
import { describe, expect, test } from 'vitest';
import type { JsonRpcAnswer } from '../kit/raw-client.ts';
import { runHere } from '../cli/here.ts';
import { textOf } from '../kit/lab.ts';
import { durableKinds, useSharedStores } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';
import { callOnce, effectsDeployment } from '../kit/effects-deployment.ts';

useSharedStores();

const ROUNDS = 6;

describe.each(durableKinds)('on the store %s', (kind) => {
  function deployment() {
    const made = effectsDeployment(kind);
    const { name, storeUrl, start } = made;
    /** `between`: after the look and before the write. */
    async function forget(
      tool: string,
      key: string,
      between: () => Promise<unknown> = async () => undefined,
    ): Promise<string> {
      const args = ['once', 'forget', tool, key, '--anonymous', '--yes', '--name', name, '--store', storeUrl];
      try {
        const { stdout, stderr } = await runHere(args, { between });
        return (stdout + stderr).replace(/^sojourn: /, '');
      } catch (error) {
        return (error as Error).message;
      }
    }
    /** A call whose instance has died in the middle of its handler. */
    async function crashed(tool: string, key: string): Promise<void> {
      const dead = await start('in the handler');
      await callOnce(dead.url, tool, key);
      await until(() => !dead.alive(), { what: 'its death' });
    }
    return { ...made, forget, crashed };
  }

  const FORGOTTEN = /^forgotten/;
  const USED = /a call has used this key since/;
  const lost = (answer: JsonRpcAnswer | undefined): boolean => JSON.stringify(answer).includes('"owner_lost"');

  type Deployment = ReturnType<typeof deployment>;

  async function endedAndUnknown({ forget, crashed, count }: Deployment, url: string): Promise<void> {
    expect(await forget('pay', 'a')).toContain('nothing is known of this key');
    for (const run of [1, 2]) {
      for (let n = 0; n < 2; n++) expect(textOf(await callOnce(url, 'pay', 'a'))).toBe('pay a');
      expect(count('effect', 'pay a')).toBe(run);
      await expect.poll(() => forget('pay', 'a')).toMatch(FORGOTTEN);
    }
    await crashed('pay', 'lost');
    await expect.poll(async () => lost(await callOnce(url, 'pay', 'lost')), { timeout: 10_000 }).toBe(true);
    expect(await forget('pay', 'lost')).toMatch(FORGOTTEN);
    expect(textOf(await callOnce(url, 'pay', 'lost'))).toBe('pay lost');

    const running = callOnce(url, 'pay', 'slow', 1_500);
    await until(() => count('begin', 'pay slow') === 1);
    expect(await forget('pay', 'slow')).toMatch(/^this key runs now, at \S+.* it can be forgotten when it has ended/);
    expect(textOf(await running)).toBe('pay slow');
    expect(count('effect', 'pay slow')).toBe(1);
  }

  /** Neither is the end of the call. */
  async function claimedFirst({ forget, crashed, count }: Deployment, url: string): Promise<void> {
    for (const tool of ['again', 'pay']) {
      await crashed(tool, 'die');
      await until(async () => !(await forget(tool, 'die', () => Promise.reject(new Error('no')))).includes('runs now'));
      const forgotten = await forget(tool, 'die', () => callOnce(url, tool, 'die'));
      expect(forgotten).toMatch(USED);
    }
    expect(count('begin', 'again die')).toBe(2);
    expect(textOf(await callOnce(url, 'again', 'die'))).toBe('again die');
    expect(lost(await callOnce(url, 'pay', 'die'))).toBe(true);
    // A run that was forgotten and began again is another one.
    const second = async (): Promise<void> => {
      expect(await forget('pay', 'die')).toMatch(FORGOTTEN);
      expect(textOf(await callOnce(url, 'pay', 'die'))).toBe('pay die');
    };
    expect(await forget('pay', 'die', second)).toMatch(USED);
    expect([count('effect', 'again die'), count('effect', 'pay die')]).toEqual([1, 1]);
  }

  async function attached({ forget, crashed, count }: Deployment, url: string): Promise<void> {
    await crashed('pay', 'attached');
    const waiting = callOnce(url, 'pay', 'attached');
    const forgotten = await until(async () => {
      const said = await forget('pay', 'attached');
      return said.includes('runs now') ? '' : said;
    });
    const answer = await waiting;
    const last = await callOnce(url, 'pay', 'attached');
    if (FORGOTTEN.test(forgotten)) expect(textOf(last)).toBe('pay attached');
    else expect([lost(answer), lost(last)]).toEqual([true, true]);
    expect(count('begin', 'pay attached')).toBe(FORGOTTEN.test(forgotten) ? 2 : 1);
  }

  // One deployment for all of them: each uses other keys.
  test(
    'an ended, an unknown and a lost key run again once forgotten; a running key and a key that a call claims first do not',
    { timeout: 120_000 },
    async () => {
      const all = deployment();
      const { url } = await all.start();
      await Promise.all([endedAndUnknown(all, url), claimedFirst(all, url), attached(all, url)]);
    },
  );

  test(
    'calls and forgets at once: a key runs once, and once more for each time that it was forgotten',
    { timeout: 120_000 },
    async () => {
      const { start, forget, count } = deployment();
      const urls = await Promise.all([start(), start()].map(async (one) => (await one).url));
      let forgotten = 0;
      for (let round = 0; round < ROUNDS; round += 1) {
        const said = [forget('again', 'k'), forget('again', 'k')];
        const answers = [...urls, ...urls].map((url) => callOnce(url, 'again', 'k'));
        forgotten += (await Promise.all(said)).filter((one) => FORGOTTEN.test(one)).length;
        for (const answer of await Promise.all(answers)) expect(textOf(answer), JSON.stringify(answer)).toBe('again k');
        expect(count('begin', 'again k')).toBeLessThanOrEqual(1 + forgotten);
      }
      expect(forgotten).toBeGreaterThan(0);
      expect(textOf(await callOnce(urls[0] as string, 'again', 'k'))).toBe('again k');
      expect(count('begin', 'again k')).toBeGreaterThanOrEqual(forgotten);
    },
  );
});
