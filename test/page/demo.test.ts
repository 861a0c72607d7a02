// @module-tag matrix
/** The page of `sojourn demo`, from the build: its buttons do what the keys of the terminal do. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { startCli } from '../cli/cli-process.ts';
import { until } from '../kit/until.ts';
import { violations } from './axe.ts';
import { lacksBrowser, openBrowser, openPage } from './browser.ts';

const TOKEN = 'a-token-of-this-demo';
const LONG = { timeout: 180_000 };

describe.skipIf(lacksBrowser)('the page of the demo', () => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(async () => {
    await browser.close();
  });

  /** The demo, and the address that it prints. */
  async function startDemo() {
    const demo = startCli(['demo', '--script', '.'.repeat(600)], { env: { SOJOURN_DASHBOARD_TOKEN: TOKEN } });
    // It leaves no process and no file, unlike after the SIGKILL of the kit.
    onTestFinished(async () => {
      demo.kill('SIGTERM');
      await demo.ended();
    });
    await until(() => /^dashboard \S+$/m.test(demo.output.stdout), { timeoutMs: 60_000, what: 'the demo' });
    const [, address = ''] = /^dashboard (\S+)$/m.exec(demo.output.stdout) ?? [];
    const said = (text: string) => until(() => demo.output.stdout.includes(text), { timeoutMs: 20_000, what: text });
    return { demo, address, said };
  }

  const instance = (page: Page, name: string) => page.getByRole('group', { name: `Instance ${name}` });
  const press = (page: Page, name: string, label: string) =>
    instance(page, name).getByRole('button', { name: label }).click();

  /** A tab without the token is asked for it, and other sites and forms are refused. */
  async function refusesOthers(address: string): Promise<void> {
    const { page, close } = await openPage(browser, address);
    await page.getByRole('heading', { name: 'This dashboard needs a token' }).waitFor();
    expect(await instance(page, 'one').count()).toBe(0);
    await close();
    const post = (headers: Record<string, string>, path = 'demo/one/kill', method = 'POST') =>
      fetch(`${address}/dashboard/api/${path}`, { method, headers, ...(method === 'POST' && { body: '{}' }) });
    const token = { Authorization: `Bearer ${TOKEN}` };
    const action = { ...token, 'Sojourn-Dashboard': '1' };
    const statuses = [];
    for (const answer of [
      post({ 'Sojourn-Dashboard': '1' }),
      post({ ...action, Authorization: `Bearer ${TOKEN}x` }),
      post(token),
      post({ ...action, Origin: 'https://elsewhere.example' }),
      post({ ...action, 'Sec-Fetch-Site': 'cross-site' }),
      post(action, 'demo/four/kill'),
      post(action, 'demo/one/end'),
      post(action, 'demo/store/kill'),
      post(action, 'demo/one/kill/now'),
      post(action, 'demo/one/kill', 'PUT'),
      post({ Origin: 'https://elsewhere.example' }, 'demo', 'GET'),
    ])
      statuses.push((await answer).status);
    expect(statuses).toEqual([401, 401, 403, 403, 403, 404, 404, 404, 404, 405, 403]);
    // The output is no terminal, so the address has no key.
    expect(new URL(address).pathname).toBe('/');
  }

  test(
    'only with the token it kills, freezes, drains, starts again and takes the store away; no call is lost',
    LONG,
    async () => {
      const { demo, address, said } = await startDemo();
      await refusesOthers(address);
      const { page, complaints, close } = await openPage(browser, `${address}/#token=${TOKEN}`);
      // What was shown says more than what was missing.
      onTestFinished(async ({ task }) => {
        if (task.result?.state === 'fail') console.log(await page.locator('body').innerText());
        await close();
      });
      // The picture names the instances as the terminal does.
      for (const name of ['one', 'two', 'three'])
        await page.locator('.river .name').getByText(name, { exact: true }).waitFor();
      expect(await violations(page)).toEqual([]);

      await press(page, 'two', 'kill -9');
      await page.getByRole('heading', { level: 1, name: /^two was killed / }).waitFor();
      await said('two was killed');
      await page
        .locator('.river')
        .getByText(/^killed \d/)
        .first()
        .waitFor();
      await page.locator('.feed').getByText('two was killed').waitFor();
      await instance(page, 'two').getByText('is killed').waitFor();
      await press(page, 'two', 'Start again');
      await said('two joins');
      await instance(page, 'two').getByText('serves').waitFor();
      // It has its lane again.
      await page
        .locator('.river tbody tr')
        .filter({ hasText: /^two/ })
        .getByText(/^serving/)
        .waitFor();

      await press(page, 'one', 'Drain');
      await said('one has drained');
      await page.getByRole('heading', { level: 1, name: /^one was drained / }).waitFor();
      await press(page, 'one', 'Start again');
      await said('one joins');

      await press(page, 'three', 'Freeze');
      await said('three is frozen');
      await page
        .locator('.river .state')
        .getByText(/^(no answer|lapsed|gone)/)
        .waitFor();
      await page
        .getByRole('heading', { level: 1, name: /^three (does not answer|lost its lease|went away)/ })
        .waitFor();
      expect(await violations(page)).toEqual([]);
      await press(page, 'three', 'Unfreeze');
      await said('three runs again');

      await page.getByRole('button', { name: 'Store away for 5 s' }).click();
      await page.getByRole('heading', { level: 1, name: /^The store (has not answered|does not answer)/ }).waitFor();
      await page.locator('.storerow').getByText('does not answer').waitFor();
      await page.getByRole('heading', { level: 1, name: /^The store was away for / }).waitFor();
      expect(complaints).toEqual([]);
      expect(demo.output.stdout).not.toContain('failed');

      // Without any instance it still starts them: the front answers.
      for (const name of ['one', 'two', 'three']) await press(page, name, 'kill -9');
      await said('three was killed');
      await press(page, 'one', 'Start again');
      await until(() => demo.output.stdout.match(/^.* one joins/gm)?.length === 2, { timeoutMs: 30_000, what: 'one' });
    },
  );
});
