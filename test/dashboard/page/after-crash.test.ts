/**
 * What each page says after the only process was killed with calls running, and the next one serves: on the real page,
 * with two endpoints on one store and on fake time.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { createFakeTime } from '../../../src/testing/index.ts';
import { openBrowser } from '../../kit/chromium.ts';
import { ask, TOKEN } from '../../kit/dashboard.ts';
import { type Member, serveMember } from '../../kit/fleet.ts';
import { tool } from '../../kit/lab.ts';
import { listening } from '../../kit/listening.ts';
import { sharedStore, useSharedStores } from '../../kit/shared-stores.ts';
import { cut, mend, watchedStore } from '../../kit/watched-store.ts';
import { openPage } from './browser.ts';

useSharedStores();

const HOUR = 3_600_000;
const LEASE_MS = 3_000;

/** The tests run from the source, and the page is built. */
const BUILT = fileURLToPath(new URL('../../../dist/dashboard/page/', import.meta.url));
const TYPES: Readonly<Record<string, string>> = { '.js': 'text/javascript', '.css': 'text/css' };

async function served({ endpoint }: Member): Promise<number> {
  const dashboard = endpoint.dashboard({ token: TOKEN });
  const server = createServer((req, res) => {
    const { pathname } = new URL(req.url ?? '', 'http://host');
    if (pathname.startsWith('/api/')) return dashboard.node(req, res);
    const name = pathname === '/' ? 'index.html' : pathname.slice(1);
    res.setHeader('content-type', TYPES[extname(name)] ?? 'text/html');
    res.end(readdirSync(BUILT).includes(name) ? readFileSync(`${BUILT}${name}`) : '');
  });
  const port = Number(new URL(await listening(server)).port);
  // It is loaded, and counts from now on.
  await ask(port, '/api/fleet');
  return port;
}

let browser: Browser;
beforeAll(async () => {
  browser = await openBrowser();
}, 60_000);
afterAll(() => browser.close());

const connect = () => sharedStore('sqlite');

test('a kill is on every page of the next process: after 4 s, 10 s, 70 s and 50 min', async () => {
  // As of now, because instances tell when their process started.
  const time = createFakeTime(Date.now());
  const store = connect();
  const first = watchedStore({ durable: true, inner: store() });
  const options = {
    timeProvider: time,
    leaseMs: LEASE_MS,
    keepAliveMs: Infinity,
    idleTimeoutMs: 2 * HOUR,
  };
  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= LEASE_MS / 3)
      await time.advance(Math.min(left, LEASE_MS / 3));
  };
  const dead = await serveMember({ ...options, store: first });
  await served(dead);
  const client = await dead.openSession();
  await client.call(...tool('echo', { text: 'x' }));
  await fetch(dead.url, { method: 'POST', headers: { origin: 'https://evil.example' } });
  const held = client.call(...tool('hold')).catch(() => {});
  await dead.lab.held();
  await pass(LEASE_MS / 3);
  cut(first);

  await time.advance(500);
  const next: Member = await serveMember({ ...options, store: store() });
  const port = await served(next);
  await time.advance(500);
  const { page, close } = await openPage(browser, `http://127.0.0.1:${port}/`, { token: TOKEN });
  onTestFinished(async ({ task }) => {
    if (task.result?.state === 'fail') console.log(await page.locator('body').innerText());
    await close();
  });
  // The page shows seconds.
  const clocks = await page.evaluate(
    (at) => [-1_000, 0, 1_000].map((ms) => new Date(at + ms).toTimeString().slice(0, 8)),
    time.now() - 500,
  );
  const since = new RegExp(`since (?:${clocks.join('|')}), when \\S+ \\d+ began to count`);

  // A message still reaches the endpoint in this process, so the end of its lease tells.
  await pass(LEASE_MS);
  await says(
    page,
    'instances',
    /^\S+ \d+ (has not answered for [3-7] s|was killed [3-7] s ago)\.$/,
  );
  // What the dead process counted is there, and since when each of the two did.
  await says(page, 'tools', /^Tools$/, new RegExp(`Calls since .+; ${since.source}`));
  const echo = page.getByRole('region', { name: 'Tools' }).locator('tbody tr').first();
  expect(await echo.textContent()).toMatch(/^echo10/);
  await says(page, 'tools', /^Tools$/, new RegExp(`No call failed since .+; ${since.source}`));
  const both = new RegExp(`Counted since .+; ${since.source}`);
  await says(page, 'refusals', /^1 request refused$/, both);

  await pass(6_000);
  // The client comes back, and its call was not answered.
  await next.join(client).call(...tool('count'));
  const lost = / 1 call may have run, and its client knows\.$/;
  await says(page, 'instances', new RegExp(`^\\S+ \\d+ was killed 1\\d s ago\\.${lost.source}`));
  expect(await page.locator('.picture svg').getAttribute('aria-label')).toMatch(
    /is killed, killed 1\d s ago/,
  );

  await pass(58_000);
  await says(
    page,
    'instances',
    new RegExp(`^\\S+ \\d+ was killed (1 min|[67]\\d s) ago\\.${lost.source}`),
  );
  await says(page, 'tools', /^Tools$/, since);

  await pass(49 * 60_000);
  await says(
    page,
    'instances',
    /^1 instance serves 1 live session\. Nothing waits\.$/,
    /Nothing was interrupted in the last minute\. 1 instance died in the last hour, the last one 50 min ago\./,
  );
  const died = page.getByRole('region', { name: 'Deaths of the last hour' }).locator('tbody td');
  // When it died, and what it last told: one session, one call.
  expect((await died.allTextContents()).filter((_, n) => n !== 0 && n !== 2)).toEqual([
    '50 min ago',
    '1',
    '1',
  ]);
  await says(page, 'tools', /^Tools$/, /Calls in the last 30 to 60 minutes/);
  await says(
    page,
    'refusals',
    /^0 requests refused$/,
    /No request was refused in the last 30 to 60 minutes/,
  );
  mend(first);
  (await dead.lab.held()).answer('late');
  await held;
}, 120_000);

test('calls that run are listed by age, and why calls failed by tool', async () => {
  const time = createFakeTime();
  const one = await serveMember({ store: connect()(), timeProvider: time, keepAliveMs: Infinity });
  const port = await served(one);
  const client = await one.openSession({ clientInfo: { name: 'claude-code', version: '2' } });
  const held = [client.call(...tool('hold')).catch(() => {})];
  await one.lab.held(0);
  await time.advance(60_000);
  held.push(client.call(...tool('hold')).catch(() => {}));
  await one.lab.held(1);
  await client.call('tools/list');
  for (let n = 0; n < 2; n++) await client.call(...tool('echo', { text: 1 }));
  const { page, close } = await openPage(browser, `http://127.0.0.1:${port}/`, { token: TOKEN });
  onTestFinished(close);
  const runs = page.getByRole('region', { name: 'What runs now' }).locator('tbody tr');
  await runs.nth(1).waitFor();
  const rows = await Promise.all([0, 1].map((n) => runs.nth(n).locator('td').allTextContents()));
  expect(rows.map(([since, call, user, , from]) => [since, call, user, from])).toEqual([
    ['1 min', 'hold', '–', 'claude-code'],
    ['0 s', 'hold', '–', 'claude-code'],
  ]);
  await page.evaluate(() => (location.hash = '#/tools'));
  const failures = page.getByRole('region', { name: 'Why calls fail' }).locator('tbody tr');
  await failures.first().waitFor();
  expect(await failures.allTextContents()).toEqual(['echoits own answer says so (isError)2now']);
  for (const n of [0, 1]) (await one.lab.held(n)).answer('done');
  await Promise.all(held);
}, 60_000);

/** Opens a view, and waits for its title and for a text. */
async function says(page: Page, view: string, title: RegExp, text?: RegExp): Promise<void> {
  await page.evaluate((to) => (location.hash = `#/${to}`), view);
  await page.getByRole('heading', { level: 1, name: title }).waitFor();
  if (text !== undefined) await page.getByText(text).first().waitFor();
}
