/** Every view and state of the page, with numbers that are made up: axe finds nothing, and the console is silent. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { violations } from './axe.ts';
import { lacksBrowser, NARROW, openBrowser, openPage, WIDE } from './browser.ts';
import { FakeFleet } from './fake-fleet.ts';

/** How a view is reached, and what it shows then. */
const VIEWS: readonly (readonly [name: string, open: (page: Page, fleet: FakeFleet) => Promise<unknown>])[] = [
  ['fleet', (page) => page.getByText('Where the sessions are').waitFor()],
  [
    'keys and display',
    async (page) => {
      await page.keyboard.press('?');
      await page.getByRole('dialog').waitFor();
    },
  ],
  [
    'a take-over, and the hour of a figure',
    async (page) => {
      await page.keyboard.press('Escape');
      await page.getByRole('button', { name: 'Requests', exact: true }).click();
      await page.locator('.u-over').waitFor();
    },
  ],
  [
    'a menu of an instance',
    async (page) => {
      await page.keyboard.press('Escape');
      await page.getByRole('button', { name: 'Actions on web-1' }).click();
      await page.getByRole('button', { name: 'Drain…' }).waitFor();
    },
  ],
  [
    'the confirmation of a drain',
    async (page) => {
      await page.getByRole('button', { name: 'Drain…' }).click();
      await page.getByText('It stops accepting connections').waitFor();
    },
  ],
  [
    'sessions',
    async (page) => {
      await page.keyboard.press('Escape');
      await page.keyboard.press('g');
      await page.keyboard.press('s');
      await page.getByText(/^400 of 400$/).waitFor();
    },
  ],
  [
    'clients without a session',
    async (page) => {
      await page.getByRole('button', { name: /^Without a session/ }).click();
      await page.getByText('go-sdk').waitFor();
    },
  ],
  [
    'one session',
    async (page) => {
      await page.getByRole('button', { name: /^Sessions/ }).click();
      await page.locator('.vrow').first().click();
      await page.getByText('What it keeps').waitFor();
    },
  ],
  [
    'the end of a session',
    async (page) => {
      await page.getByRole('button', { name: 'End session…' }).click();
      await page.getByText('This cannot be undone').waitFor();
    },
  ],
  [
    'an unknown session',
    async (page) => {
      await page.keyboard.press('Escape');
      await page.evaluate(() => (location.hash = '#/sessions/aaaaaaaaaaaa'));
      await page.getByText('does not know the session').waitFor();
    },
  ],
  [
    'refusals',
    async (page) => {
      await page.evaluate(() => (location.hash = '#/refusals'));
      await page.getByText('What allows it').waitFor();
    },
  ],
];

describe.skipIf(lacksBrowser)('the views of the page', () => {
  let browser: Browser;
  const fleet = new FakeFleet({ sessions: 400, rate: 200 });
  let url = '';

  beforeAll(async () => {
    browser = await openBrowser();
    url = await fleet.listen();
    fleet.kill(1);
  });
  afterAll(async () => {
    fleet.close();
    await browser.close();
  });

  test.each([
    ['light', WIDE],
    ['dark', WIDE],
    ['light', NARROW],
    ['dark', NARROW],
  ] as const)('have no violation of axe: %s, %j', async (colorScheme, viewport) => {
    const { page, complaints, close } = await openPage(browser, url, {
      colorScheme,
      viewport,
      reducedMotion: 'reduce',
    });
    const found: string[] = [];
    for (const [name, open] of VIEWS) {
      await open(page, fleet);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (over > 0) found.push(`${name}: ${over} px wider than the screen`);
      for (const violation of await violations(page)) found.push(`${name}: ${violation}`);
    }
    expect(found).toEqual([]);
    expect(complaints).toEqual([]);
    await close();
  });
});
