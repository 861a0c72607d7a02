/** The page with a real fleet: three processes of `sojourn serve` on one store, and clients that call all the time. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { sessionHash } from '../../src/base/shown.ts';
import { until } from '../kit/until.ts';
import { violations, violationsInEachForm } from './axe.ts';
import { lacksBrowser, openBrowser, openPage } from './browser.ts';
import { FleetClient, KINDS, RealFleet, TOKEN, Traffic } from './real-fleet.ts';

const CLIENTS = 24;
const LONG = { timeout: 180_000 };

const kind = (name: string) => ({ ...KINDS[0], name, version: '7.1', protocolVersion: '2025-11-25' });

describe.skipIf(lacksBrowser)('the page of a fleet', () => {
  let browser: Browser;
  let fleet: RealFleet;
  const traffic = new Traffic();

  beforeAll(async () => {
    browser = await openBrowser();
    fleet = new RealFleet({ names: ['a', 'b', 'c'] });
    await fleet.start();
    await traffic.start(fleet, CLIENTS, 400);
  }, 120_000);
  afterAll(async () => {
    await traffic.stop();
    await fleet.close();
    await browser?.close();
  });

  /** The page of one instance, on a view. It fails with what the console says, and with what axe finds at its end. */
  async function pageOf(name: string, view = ''): Promise<Page> {
    const { page, complaints, close } = await openPage(browser, `${fleet.dashboard(name)}${view}`, { token: TOKEN });
    onTestFinished(async ({ task }) => {
      // What was shown says more than what was missing.
      if (task.result?.state === 'fail') console.log(await page.locator('body').innerText());
      const found = await violationsInEachForm(page);
      await close();
      expect(complaints).toEqual([]);
      expect(found).toEqual([]);
    }, LONG.timeout);
    return page;
  }

  const title = (page: Page) => page.locator('h1').first().textContent();
  const row = (page: Page, name: string) => {
    // A host with several instances: their names end with the process id.
    const named = page.locator('.name').filter({ hasText: new RegExp(`(^| )${fleet.pid(name)}$`) });
    return page.locator('.river tbody tr').filter({ has: named });
  };

  /** The figure with this label, as a number. */
  async function figure(page: Page, label: string): Promise<number> {
    const text = await page.locator('.figures > div').filter({ hasText: label }).locator('dd').first().textContent();
    return Number.parseFloat(text?.replaceAll(',', '') ?? '');
  }

  test('Fleet shows each instance with its sessions, and what happens', LONG, async () => {
    const page = await pageOf('a');
    await page.getByRole('heading', { name: /^3 instances serve \d+ sessions\. / }).waitFor();
    await until(async () => (await figure(page, 'Requests')) > 1, { timeoutMs: 15_000, what: 'requests' });
    for (const name of ['a', 'b', 'c']) {
      await row(page, name)
        .getByText(/^serving, up/)
        .waitFor();
      await until(async () => /^\d+$/.test((await row(page, name).locator('.big').textContent()) ?? ''), {
        timeoutMs: 10_000,
        what: `sessions of ${name}`,
      });
    }
    expect(await figure(page, 'Sessions')).toBe(
      traffic.clients.filter(({ sessionId }) => sessionId !== undefined).length,
    );
    expect(await page.locator('.feed').textContent()).toContain('joined');

    // The picture is a slider of time.
    await page.getByRole('slider').focus();
    await page.keyboard.press('ArrowLeft');
    expect(await page.getByRole('slider').getAttribute('aria-valuetext')).toMatch(
      /^\d\d:\d\d:\d\d: .*, store (\d+|–)$/,
    );
    await page.keyboard.press('Escape');

    await page.keyboard.press('?');
    await page.getByRole('dialog').waitFor();
    expect(await violationsInEachForm(page)).toEqual([]);
    await page.keyboard.press('Escape');

    // Pause keeps the picture; what came in between is drawn when it continues.
    await page.keyboard.press('p');
    await page.locator('.conn').getByText('paused').waitFor();
    const client = new FleetClient(fleet, kind('paused-client'));
    await client.open();
    await page.keyboard.press('p');
    const more = traffic.clients.filter(({ sessionId }) => sessionId !== undefined).length + 1;
    await until(async () => (await figure(page, 'Sessions')) === more, { timeoutMs: 10_000, what: 'one session more' });
  });

  test('Sessions lists them, filters, and follows values; one has its timeline and its end', LONG, async () => {
    const client = new FleetClient(fleet, kind('followed-client'));
    await client.open();
    for (let n = 0; n < 3; n += 1) await client.call('read_file');
    const hash = sessionHash(client.sessionId ?? '');
    const page = await pageOf('b', '#/sessions');
    await page.getByText(/^\d+ of \d+$/).waitFor();
    await page.keyboard.press('/');
    await page.keyboard.type('client:followed-client state:live');
    await page.getByText(/^1 of \d+$/).waitFor();
    const line = page.locator('.vrow').filter({ hasText: hash });
    expect(await line.textContent()).toContain('2025-11-25');
    expect(await page.content()).not.toContain(client.sessionId);

    // The keyboard alone opens it.
    await page.keyboard.press('Enter');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'followed-client' }).waitFor();
    expect(new URL(page.url()).hash).toBe(`#/sessions/${hash}`);
    await page.locator('.tl').getByText('read_file').first().waitFor();
    await page
      .locator('.tl .ev')
      .getByText(/opened/i)
      .waitFor();
    expect(await page.locator('.tl li').filter({ hasText: 'read_file' }).count()).toBe(3);
    await client.call('get_issue');
    await page.locator('.tl .what').getByText('get_issue').waitFor();
    await page.getByRole('button', { name: 'Events', exact: true }).click();
    await page.locator('.tl .what').getByText('get_issue').waitFor({ state: 'detached' });

    // The end of it is confirmed.
    await page.getByRole('button', { name: 'End session…' }).click();
    await page.getByText('followed-client of no user').waitFor();
    expect(await violations(page)).toEqual([]);
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Cancel');
    expect(await page.getByRole('dialog').getByLabel('Token').count()).toBe(0);
    await page.getByRole('button', { name: 'End session', exact: true }).click();
    await page.getByText('Its id answers 404').waitFor();
    await until(async () => (await client.call('read_file'), client.errors.at(-1)?.startsWith('404')) === true, {
      timeoutMs: 10_000,
      what: 'the 404',
    });
    await page.evaluate((of) => (location.hash = `#/sessions/${of}`), hash);
    await page.getByRole('heading', { name: 'This session has ended.' }).waitFor();
    expect(await violationsInEachForm(page)).toEqual([]);
    await page.keyboard.press('Escape');
    await page.getByText(/^\d+ of \d+$/).waitFor();
  });

  test('Refusals show a caller within seconds, with the option that allows it', LONG, async () => {
    const page = await pageOf('c', '#/refusals');
    const { port } = fleet.instances.get('a') ?? { port: 0 };
    const headers = { Origin: 'https://notes.example', 'Content-Type': 'application/json' };
    expect((await fetch(`http://127.0.0.1:${port}/mcp`, { method: 'POST', headers, body: '{}' })).status).toBe(403);
    await page.getByRole('button', { name: /A website calls/ }).click();
    await page.locator('.why').getByText('https://notes.example').first().waitFor();
    await page.getByText(/^--allowed-origins .*https:\/\/notes\.example/).waitFor();
    await page.getByRole('button', { name: 'Variable' }).click();
    await page.getByText(/^SOJOURN_ALLOWED_ORIGINS=/).waitFor();
    expect(await page.evaluate(() => document.activeElement?.tagName)).not.toBe('BODY');
  });

  test('clients without a session have their list', LONG, async () => {
    const page = await pageOf('a', '#/sessions?era=2026');
    await page
      .getByRole('cell', { name: /^go-sdk/ })
      .first()
      .waitFor();
  });

  test('a kill is seen as it happens, and no client got an error', LONG, async () => {
    const page = await pageOf('a');
    await row(page, 'b')
      .getByText(/^serving/)
      .waitFor();
    const name = await row(page, 'b').locator('.name').textContent();
    const port = fleet.instances.get('b')?.port;
    const lost = row(page, 'b');
    // Looked for from now on: what follows in the feed may push it out.
    const told = page
      .locator('.feed')
      .getByText(new RegExp(`${name}.*(removed|lapsed|gone)`))
      .first()
      .waitFor();
    await fleet.kill('b');
    await page.getByRole('heading', { level: 1, name: new RegExp(`^${name} (went away|lost its lease)`) }).waitFor();
    await lost.getByText(/^(gone|lapsed) /).waitFor();
    await told;
    await page.locator('.tally').getByText('waited and went on').waitFor();
    await page.locator('.river .delta').filter({ hasText: 'moved' }).first().waitFor();
    await fleet.startInstance('b', port);
    await row(page, 'b')
      .getByText(/^serving/)
      .waitFor();
    expect(traffic.errors).toEqual([]);
  });

  test('a drain is confirmed, and the instance leaves', LONG, async () => {
    const page = await pageOf('a');
    await page.evaluate((token) => (location.hash = `#token=${token}`), TOKEN);
    await page.reload();
    await row(page, 'c')
      .getByText(/^serving/)
      .waitFor();
    expect(page.url()).not.toContain(TOKEN);
    await row(page, 'c')
      .getByRole('button', { name: /^Actions on/ })
      .click();
    await page.getByRole('button', { name: 'Drain…' }).filter({ visible: true }).click();
    await page.getByText('It stops accepting connections').waitFor();
    expect(await violations(page)).toEqual([]);
    expect(await page.getByRole('dialog').getByLabel('Token').count()).toBe(0);
    const pid = fleet.pid('c');
    await page.getByRole('button', { name: /^Drain / }).click();
    const { child } = fleet.instances.get('c') ?? {};
    await until(() => child?.exitCode === 0, { timeoutMs: 20_000, what: 'the drained process' });
    await page
      .locator('.feed')
      .getByText(new RegExp(`${pid}.*(drain|left)`))
      .first()
      .waitFor();
    await fleet.startInstance('c');
    expect(traffic.errors).toEqual([]);
  });

  test('a lost connection clears nothing, and continues with the next instance there', LONG, async () => {
    const page = await pageOf('c');
    await page.locator('.river').waitFor();
    const port = fleet.instances.get('c')?.port;
    await fleet.signal('c', 'SIGTERM');
    await page.getByText(/^The connection to .* is lost/).waitFor();
    await page.getByText(/What you see is of \d\d:\d\d:\d\d\./).waitFor();
    expect(await figure(page, 'Sessions')).toBeGreaterThan(0);
    expect(await page.locator('main').getAttribute('data-stale')).toBe('');
    await fleet.startInstance('c', port);
    await page
      .getByRole('button', { name: 'Try now' })
      .click({ timeout: 3_000 })
      .catch(() => undefined);
    await page.getByText(/^Connected again/).waitFor();
    await page.locator('.conn').getByText('live').waitFor({ state: 'attached' });
    await row(page, 'c')
      .getByText(/^serving/)
      .waitFor();
    expect(await title(page)).not.toBe('');
  });

  test('without the token the page shows how to make one, and takes no other', LONG, async () => {
    const { page, complaints, close } = await openPage(browser, fleet.dashboard('a'));
    await page.getByRole('heading', { name: 'This dashboard needs a token' }).waitFor();
    await page.getByText('openssl rand -hex 16').waitFor();
    expect(await violations(page)).toEqual([]);
    await page.getByLabel('Token').fill('x'.repeat(20));
    await page.keyboard.press('Enter');
    await page.getByText('This is not the token.').waitFor();
    await page.getByLabel('Token').fill(TOKEN);
    await page.keyboard.press('Enter');
    await page
      .locator('.river')
      .getByText(/^serving, up/)
      .first()
      .waitFor();
    // It stays in this tab: after a reload, and not in the address.
    await page.reload();
    await page
      .locator('.river')
      .getByText(/^serving, up/)
      .first()
      .waitFor();
    expect(page.url()).not.toContain(TOKEN);
    expect(complaints).toEqual([]);
    await close();
  });
});
