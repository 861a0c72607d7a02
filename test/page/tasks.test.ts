/** Tasks in the page: two processes of `sojourn serve --tasks`, a client with tasks, and a kill. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { sessionHash } from '../../src/base/shown.ts';
import { createRawClient } from '../kit/raw-client.ts';
import { until } from '../kit/until.ts';
import { TaskClient } from '../tasks/kit.ts';
import { violations, violationsInEachForm } from './axe.ts';
import { lacksBrowser, openBrowser, openPage } from './browser.ts';
import { RealFleet, TOKEN } from './real-fleet.ts';

const LONG = { timeout: 180_000 };

describe.skipIf(lacksBrowser)('tasks in the page', () => {
  let browser: Browser;
  let fleet: RealFleet;

  beforeAll(async () => {
    browser = await openBrowser();
    fleet = new RealFleet({ names: ['a', 'b'], flags: ['--tasks'] });
    await fleet.start();
  }, 120_000);
  afterAll(async () => {
    await fleet.close();
    await browser?.close();
  });

  function client(name: string): TaskClient {
    const raw = createRawClient(`http://127.0.0.1:${fleet.instances.get(name)?.port}/mcp`, { timeoutMs: 20_000 });
    onTestFinished(() => raw.close());
    return new TaskClient(raw);
  }

  async function shown(name: string, view: string): Promise<Page> {
    const { page, complaints, close } = await openPage(browser, `${fleet.dashboard(name)}${view}`, { token: TOKEN });
    onTestFinished(async ({ task }) => {
      if (task.result?.state === 'fail') console.log(await page.locator('body').innerText());
      await close();
      expect(complaints).toEqual([]);
    });
    return page;
  }

  test('a task is seen to start, to park on a question, and to be cancelled from the page', LONG, async () => {
    const page = await shown('a', '#/fleet');
    await page.keyboard.press('g');
    await page.keyboard.press('t');
    await page.getByRole('heading', { name: 'No task is open.' }).waitFor();
    await page.getByText("import { task } from 'sojourn/tasks'").waitFor();
    expect(await violationsInEachForm(page)).toEqual([]);

    const caller = client('b');
    const film = await caller.start('film');
    const row = page.locator('.vrow').filter({ hasText: sessionHash(film) });
    await row.getByText(/^on .*\d+$/).waitFor();
    // The owner says how far it is.
    await row.getByText('step render', { exact: true }).waitFor();
    expect(await row.locator('> span:nth-child(6)').textContent()).toBe('1');
    expect(await row.textContent()).toContain('1 of 5');
    const publish = await caller.start('publish');
    await page.getByRole('heading', { name: '1 task waits for an answer, 1 task is under way.' }).waitFor();
    await page
      .locator('.vrow')
      .filter({ hasText: sessionHash(publish) })
      .getByText('asks confirm')
      .waitFor();
    expect(await page.content()).not.toContain(film);
    expect(await violationsInEachForm(page)).toEqual([]);

    // The keyboard alone: a filter, then the first row.
    await page.keyboard.press('/');
    await page.keyboard.type('tool:publish state:input_required runs:parked');
    await page.getByText(/^1 of 2$/).waitFor();
    await page.keyboard.press('Enter');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: /^publish/ }).waitFor();
    expect(new URL(page.url()).hash).toBe(`#/tasks/${sessionHash(publish)}`);
    await page.getByText(/^Waits for an answer to “confirm” for \d+ s. No process holds it./).waitFor();
    await page.locator('svg.pic path.q').waitFor();
    await page.locator('svg.pic').getByText('no process holds it').waitFor();
    await page.getByText('elicitation/create').waitFor();
    expect(await page.content()).not.toContain('Shall it be public?');
    expect(await violationsInEachForm(page)).toEqual([]);

    await page.getByRole('button', { name: 'Cancel task…' }).click();
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Keep it');
    expect(await violations(page)).toEqual([]);
    await page.getByRole('button', { name: 'Cancel task', exact: true }).click();
    await page.getByRole('heading', { name: /This task was cancelled/ }).waitFor();
    expect(await caller.get(publish)).toMatchObject({ status: 'cancelled' });
    expect(await violationsInEachForm(page)).toEqual([]);
    await page.evaluate(() => (location.hash = '#/tasks/aaaaaaaaaaaa'));
    await page.getByText('does not know the task').waitFor();
    expect(await violationsInEachForm(page)).toEqual([]);
    await caller.cancel(film);
  });

  test('a kill is a cross in the lane of its run, and the next run has another lane', LONG, async () => {
    const id = await client('b').start('film');
    const page = await shown('a', `#/tasks/${sessionHash(id)}`);
    await page.locator('svg.pic path.step.open').waitFor();
    expect(await page.locator('svg.pic path.own').count()).toBe(1);
    await page.getByText(/^Runs on .*\d+\./).waitFor();
    await fleet.kill('b');
    // Who asks for a task makes an instance look at its owner.
    const other = client('a');
    const moves = page.locator('svg.pic path.mv');
    await until(async () => (await other.get(id), (await moves.count()) === 1), {
      timeoutMs: 30_000,
      what: 'its next run',
    });
    expect(await page.locator('svg.pic path.own').count()).toBe(2);
    expect(await page.locator('svg.pic path.x').count()).toBe(1);
    await page.getByText(/1 run was cut; recorded steps do not run again/).waitFor();
    await page
      .locator('.tl')
      .getByText(/went away in attempt 1/)
      .waitFor();
    await page.locator('.tl li').filter({ hasText: 'render' }).getByText('attempt 2, runs').waitFor();
    expect(await page.locator('.facts').last().textContent()).toContain('2 of 5');
    expect(await violationsInEachForm(page)).toEqual([]);
  });
});

test.skipIf(lacksBrowser)('without the option the view says which one it is', LONG, async () => {
  const browser = await openBrowser();
  const fleet = new RealFleet({ names: ['a'] });
  onTestFinished(async () => {
    await browser.close();
    await fleet.close();
  });
  await fleet.start();
  const { page } = await openPage(browser, `${fleet.dashboard('a')}#/tasks`, { token: TOKEN });
  await page.getByRole('heading', { name: 'This endpoint serves no tasks.' }).waitFor();
  await page.getByRole('button', { name: 'Flag' }).click();
  await page.getByText('sojourn serve server.js --tasks').waitFor();
  expect(await violations(page)).toEqual([]);
});
