/** States that a calm fleet has not: no client, a frozen instance, many lanes, a store that is too large or away. */
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { violations } from './axe.ts';
import { lacksBrowser, NARROW, openBrowser, openPage, WIDE } from './browser.ts';
import { FakeFleet, type FakeOptions } from './fake-fleet.ts';
import { FleetClient, KINDS, RealFleet, TOKEN } from './real-fleet.ts';

const LONG = { timeout: 120_000 };
/** One scan reads so many. */
const SCANNED = 20_000;

describe.skipIf(lacksBrowser)('the page', () => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(async () => {
    await browser.close();
  });

  async function fake(options: FakeOptions, view = '') {
    const fleet = new FakeFleet(options);
    onTestFinished(() => fleet.close());
    const shown = await openPage(browser, `${await fleet.listen()}${view}`, { reducedMotion: 'reduce' });
    onTestFinished(shown.close);
    return { fleet, ...shown };
  }

  test(
    'before the first client says where to connect; a frozen instance does not answer, and returns',
    LONG,
    async () => {
      const fleet = new RealFleet({ names: ['a', 'b'], flags: ['--lease-ms', '20000'] });
      onTestFinished(() => fleet.close());
      await fleet.start();
      const { page, complaints, close } = await openPage(browser, fleet.dashboard('a'), { token: TOKEN });
      onTestFinished(async ({ task }) => {
        // What was shown says more than what was missing.
        if (task.result?.state === 'fail') console.log(await page.locator('body').innerText());
        await close();
      });
      await page.getByRole('heading', { name: '2 instances serve. No client has connected yet.' }).waitFor();
      const { port } = fleet.instances.get('a') ?? {};
      await page.getByText(`http://127.0.0.1:${port}/mcp`, { exact: true }).waitFor();
      expect(await violations(page)).toEqual([]);

      const client = new FleetClient(fleet, KINDS[0] as (typeof KINDS)[number]);
      await client.open();
      const lane = page.locator('.river tbody tr').filter({ hasText: new RegExp(` ${fleet.pid('b')}`) });
      await lane.getByText(/^serving/).waitFor();
      await lane.locator('.big').getByText(/^\d$/).waitFor();
      await fleet.signal('b', 'SIGSTOP');
      // Another instance may find that it takes no message, and remove its lease.
      await lane
        .locator('.state')
        .getByText(/^(no answer|gone|lapsed)/)
        .waitFor();
      await page.getByRole('heading', { level: 1, name: / (does not answer|went away|lost its lease)/ }).waitFor();
      expect(await violations(page)).toEqual([]);
      await fleet.signal('b', 'SIGCONT');
      await lane.getByText(/^serving/).waitFor();
      expect(complaints).toEqual([]);
    },
  );

  test.each([WIDE, NARROW])('draws fourteen lanes, and folds the quiet of forty, in %j', LONG, async (viewport) => {
    const { page, complaints } = await fake({ sessions: 300, instances: 14 });
    await page.setViewportSize(viewport);
    await page.locator('.river.thin').waitFor();
    expect(await page.locator('.river tbody tr:not(.storerow)').count()).toBe(14);
    expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
    expect(await violations(page)).toEqual([]);
    expect(complaints).toEqual([]);
    const many = await fake({ sessions: 300, instances: 44 });
    await many.page.getByText(/more instances serve and nothing happens there/).waitFor();
    expect(await many.page.locator('.river tbody tr:not(.storerow)').count()).toBeLessThan(40);
    expect(await violations(many.page)).toEqual([]);
  });

  test('says what a scan left out, and scans on', LONG, async () => {
    const { page, complaints } = await fake({ sessions: SCANNED + 700 }, '#/sessions');
    await page.getByText('20,000 of about 20,700 scanned').waitFor();
    expect(await violations(page)).toEqual([]);
    await page.getByRole('button', { name: 'Scan on' }).click();
    await page.getByText('20,700 of 20,700').waitFor();
    await page.getByText(/^all scanned/).waitFor();
    expect(await page.getByRole('button', { name: 'Scan on' }).count()).toBe(0);
    expect(complaints).toEqual([]);
  });

  test('keeps the rows of the last scan when the next one fails, and says why', LONG, async () => {
    const { page, fleet } = await fake({ sessions: 400 }, '#/sessions');
    await page.getByText(/^400 of 400$/).waitFor();
    fleet.failsScans = true;
    await page.getByRole('button', { name: /^Scan again/ }).click();
    await page.getByText('The scan failed: The session store cannot be reached').waitFor();
    expect(await page.locator('.vrow').count()).toBeGreaterThan(10);
    expect(await violations(page)).toEqual([]);
    fleet.failsScans = false;
    await page.getByRole('button', { name: /^Scan again/ }).click();
    await page.getByText('The scan failed').waitFor({ state: 'detached' });
    // The first scan may fail too.
    fleet.failsScans = true;
    await page.reload();
    await page.getByText('The scan failed: The session store cannot be reached').waitFor();
    expect(await violations(page)).toEqual([]);
  });
});
