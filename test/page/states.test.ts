/** States that a calm fleet has not: no client, a frozen instance. */
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { violations } from './axe.ts';
import { lacksBrowser, openBrowser, openPage } from './browser.ts';
import { FleetClient, KINDS, RealFleet, TOKEN } from './real-fleet.ts';

const LONG = { timeout: 120_000 };

describe.skipIf(lacksBrowser)('the page', () => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(async () => {
    await browser.close();
  });

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
});
