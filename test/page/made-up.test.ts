// @module-tag matrix
/**
 * The page with numbers that are made up. Every view and state: axe finds nothing, and the console is silent. And the
 * list of 10,000 sessions while they update twice a second: what scrolling costs is measured and printed, and the test
 * holds what does not depend on the speed of the machine.
 */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { violations } from './axe.ts';
import { lacksBrowser, NARROW, openBrowser, openPage, WIDE } from './browser.ts';
import { FakeFleet } from './fake-fleet.ts';

const LONG = { timeout: 180_000 };
const SESSIONS = 10_000;
const FRAMES = 240;

interface TraceEvent {
  readonly name: string;
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  readonly dur?: number;
  /** CPU time of the thread: other processes of the machine do not count. */
  readonly tdur?: number;
  readonly args?: { readonly name?: string };
}

/** ms of CPU of the page's main thread: each task with script, and how many tasks took over 50 ms. */
function costs(trace: Buffer): { script: number[]; long: number } {
  const { traceEvents } = JSON.parse(trace.toString()) as { traceEvents: TraceEvent[] };
  const mains = new Set(
    traceEvents.flatMap(({ name, pid, tid, args }) =>
      name === 'thread_name' && args?.name === 'CrRendererMain' ? [`${pid} ${tid}`] : [],
    ),
  );
  const ms = (names: readonly string[]) =>
    traceEvents.flatMap(({ name, ph, pid, tid, dur = 0, tdur = dur }) =>
      ph === 'X' && names.includes(name) && mains.has(`${pid} ${tid}`) ? [tdur / 1000] : [],
    );
  const script = ms(['FunctionCall', 'RunMicrotasks']).filter((value) => value > 0.1);
  return { script: script.sort((a, b) => a - b), long: ms(['RunTask']).filter((value) => value > 50).length };
}

/** Scrolls the list frame by frame. Returns how many rows came into the document, and the most that were in it. */
const scroll = (page: Page, over = FRAMES) =>
  page.evaluate(async (frames) => {
    const list = document.querySelector('.vlist') as HTMLElement;
    const body = document.querySelector('.vbody') as HTMLElement;
    const seen = { added: 0, most: 0, places: new Set<string>() };
    const observer = new MutationObserver((records) => {
      for (const { addedNodes } of records) seen.added += addedNodes.length;
    });
    observer.observe(body, { childList: true });
    for (let frame = 1; frame <= frames; frame += 1) {
      list.scrollTop = (frame / frames) * (list.scrollHeight - list.clientHeight);
      await new Promise((done) => requestAnimationFrame(done));
      const rows = body.querySelectorAll('[role=row]');
      seen.most = Math.max(seen.most, rows.length);
      for (const row of rows) seen.places.add(row.getAttribute('aria-rowindex') ?? '');
    }
    observer.disconnect();
    return { added: seen.added, most: seen.most, places: seen.places.size };
  }, over);

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
  [
    'tasks',
    async (page) => {
      await page.keyboard.press('g');
      await page.keyboard.press('t');
      await page.getByText(/^40 of 40$/).waitFor();
    },
  ],
  [
    'one task, parked',
    async (page) => {
      await page.locator('.vrow').filter({ hasText: 'parked' }).first().click();
      await page.getByText('no process holds it').or(page.getByText('Parked')).first().waitFor();
    },
  ],
  [
    'the end of a task',
    async (page) => {
      await page.getByRole('button', { name: 'Cancel task…' }).click();
      await page.getByText('This cannot be undone').waitFor();
    },
  ],
  [
    'one task whose owner died',
    async (page) => {
      await page.keyboard.press('Escape');
      await page.evaluate(() => (location.hash = '#/tasks?q=runs:owner-lost'));
      await page.locator('.vrow').first().click();
      await page.getByText('Its owner went away.').waitFor();
    },
  ],
  [
    'an unknown task',
    async (page) => {
      await page.evaluate(() => (location.hash = '#/tasks/aaaaaaaaaaaa'));
      await page.getByText('does not know the task').waitFor();
    },
  ],
  [
    'tasks of a store that is away',
    async (page, fleet) => {
      fleet.failsScans = true;
      await page.evaluate(() => (location.hash = '#/tasks'));
      await page.getByText('The scan failed: The session store cannot be reached').waitFor();
      fleet.failsScans = false;
    },
  ],
];

let browser: Browser | undefined;
const chromium = async (): Promise<Browser> => (browser ??= await openBrowser());
afterAll(() => browser?.close());

describe.skipIf(lacksBrowser)('the views of the page', () => {
  let fleet: FakeFleet;
  let url = '';

  beforeAll(async () => {
    fleet = new FakeFleet({ sessions: 400, rate: 200 });
    url = await fleet.listen();
    fleet.kill(1);
  });
  afterAll(() => fleet.close());

  test.each([WIDE, NARROW])('have no violation of axe, light and dark, in %j', LONG, async (viewport) => {
    const { page, complaints, close } = await openPage(await chromium(), url, { viewport, reducedMotion: 'reduce' });
    const found: string[] = [];
    for (const [name, open] of VIEWS) {
      await open(page, fleet);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (over > 0) found.push(`${name}: ${over} px wider than the screen`);
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme });
        for (const violation of await violations(page)) found.push(`${name}, ${colorScheme}: ${violation}`);
      }
    }
    expect(found).toEqual([]);
    expect(complaints).toEqual([]);
    await close();
  });
});

describe.skipIf(lacksBrowser)('a list of 10,000 sessions', () => {
  let fleet: FakeFleet;
  let url = '';

  beforeAll(async () => {
    fleet = new FakeFleet({ sessions: SESSIONS, rate: 1_800 });
    url = await fleet.listen();
  });
  afterAll(() => fleet.close());

  test('scrolls with the same few elements while its rows update', LONG, async () => {
    const { page, complaints } = await openPage(await chromium(), `${url}#/sessions`);
    await page.getByText('10,000 of 10,000').waitFor();
    const firstRow = page.locator('.vrow[aria-rowindex="2"] .mono');
    const first = await firstRow.textContent();
    // The first scroll fills the spare rows at both edges.
    await scroll(page, 40);
    await (
      await chromium()
    ).startTracing(page, { categories: ['devtools.timeline', 'disabled-by-default-devtools.timeline'] });
    const { added, most, places } = await scroll(page);
    const { script, long } = costs(await (await chromium()).stopTracing());
    const at = (share: number) => (script[Math.floor(script.length * share)] ?? 0).toFixed(1);
    console.log(
      `scrolling ${SESSIONS} sessions: script p50 ${at(0.5)} ms, p95 ${at(0.95)} ms, most ${at(0.9999)} ms; ` +
        `${long} tasks over 50 ms of CPU`,
    );
    expect(added).toBe(0);
    expect(most).toBeLessThan(60);
    expect(places).toBeGreaterThan(FRAMES);

    // Updates change values and not the order.
    await page.locator('.vlist').evaluate((list) => (list.scrollTop = 0));
    const calls = page.locator('.vrow[aria-rowindex="2"] > span:nth-child(9)');
    await firstRow.filter({ hasText: first ?? '' }).waitFor();
    const before = await page.locator('.vbody').textContent();
    await page.waitForFunction((text) => document.querySelector('.vbody')?.textContent !== text, before);
    expect(await firstRow.textContent()).toBe(first);
    expect(await calls.textContent()).toMatch(/^[\d,]+$/);
    expect(complaints).toEqual([]);
  });

  test('filters, counts and sorts what was scanned, and names a term that it does not know', LONG, async () => {
    const { page } = await openPage(await chromium(), `${url}#/sessions?q=client:cursor`);
    await page
      .locator('.scan b')
      .filter({ hasText: /^1,\d\d\d of 10,000$/ })
      .waitFor();
    await page.fill('#filter', 'client:cursor state:live colour:red');
    await page.getByText('unknown: colour:red').waitFor();
    await page.fill('#filter', 'client:cursor state:live');
    await page.getByRole('button', { name: 'Calls' }).click();
    const calls = await page
      .locator('.vrow')
      .evaluateAll((rows) =>
        rows
          .toSorted((a, b) => Number(a.getAttribute('aria-rowindex')) - Number(b.getAttribute('aria-rowindex')))
          .map((row) => Number(row.children[8]?.textContent?.replaceAll(',', ''))),
      );
    expect(calls.length).toBeGreaterThan(20);
    // Rows are live: a call may have been counted since the scan.
    for (const [k, value] of calls.slice(1).entries()) expect(value).toBeLessThanOrEqual((calls[k] ?? 0) + 20);
    expect(page.url()).toContain(encodeURIComponent('client:cursor state:live'));
  });
});
