/**
 * The page with a real fleet, one for all tests: three processes of `sojourn serve` behind one address, on a Redis that
 * can be cut off. What it says is compared with what calls saw.
 */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { sessionHash } from '../../../src/base/shown.ts';
import type { FleetPage } from '../../../src/dashboard/wire.ts';
import { TOKEN, valueOf } from '../../kit/dashboard.ts';
import type { DeployedInstance, Fleet } from '../../pages/deploy/instances.ts';
import { createFaultProxy, type FaultProxy } from '../../kit/fault-proxy.ts';
import { say } from '../../kit/lab.ts';
import { RawClient, type RawClientOptions } from '../../kit/raw-client.ts';
import { describeWhereInstalled, startServer, type TestServer } from '../../kit/servers/index.ts';
import { until } from '../../kit/until.ts';
import { TaskClient } from '../../durable/tasks/kit.ts';
import { violations, violationsInBothForms } from './axe.ts';
import { openBrowser } from '../../kit/chromium.ts';
import { NARROW, openPage } from './browser.ts';
import { startDashboards } from './real-fleet.ts';

/** How far a time on the page may be from that of this process: on a busy machine either is late. */
const CLOSE_S = 4;
/** The rows of the table of instances. */
const INSTANCES = '[aria-label="Instances"] tbody tr';
const USERS = ['ann', 'ben', 'chloe', 'dan'];
/** Clients whose names are odd. */
const NAMED: Readonly<Record<string, { name: string; version: string }>> = {
  chloe: { name: 'n'.repeat(60), version: '1.0' },
  dan: { name: '', version: '' },
};

describeWhereInstalled('redis', 'the page of a fleet', () => {
  let browser: Browser;
  let redis: TestServer;
  let link: FaultProxy;
  let fleet: Fleet;
  /** One address for all instances, as a balancer has. `serving`: where connections go. */
  let address: FaultProxy;
  const serving = { port: 0 };
  const clients: RawClient[] = [];

  beforeAll(async () => {
    [browser, redis] = await Promise.all([openBrowser(), startServer('redis')]);
    link = await createFaultProxy({ port: redis.port });
    fleet = await startDashboards(`redis://127.0.0.1:${link.port}`, ['--tasks']);
    serving.port = fleet.ports[0] ?? 0;
    address = await createFaultProxy(serving);
  }, 120_000);
  afterAll(async () => {
    for (const client of clients) client.close();
    await address?.close();
    await fleet?.close();
    await link?.close();
    await redis?.close();
    await browser?.close();
  });

  /** The page behind the one address, on a view. It fails with what the console says, and with what axe finds. */
  async function pageOf(
    view: string,
    options: { token?: string } = { token: TOKEN },
  ): Promise<Page> {
    const url = `http://127.0.0.1:${address.port}/dashboard/${view}`;
    const { page, complaints, close } = await openPage(browser, url, options);
    onTestFinished(async ({ task }) => {
      // What was shown says more than what was missing.
      if (task.result?.state === 'fail') console.log(await page.locator('body').innerText());
      const found = await violationsInBothForms(page);
      await close();
      expect(complaints).toEqual([]);
      expect(found).toEqual([]);
    });
    return page;
  }

  const NAMES = ['a', 'b', 'c'] as const;
  type Name = (typeof NAMES)[number];
  const instanceOf = (name: Name) => fleet.instances[NAMES.indexOf(name)] as DeployedInstance;
  const clientAt = (name: Name, options?: RawClientOptions): RawClient =>
    new RawClient(`http://127.0.0.1:${instanceOf(name).port}/mcp`, {
      timeoutMs: 20_000,
      ...options,
    });
  /** The client of a user at another instance, for one test. */
  const joinedAt = (name: Name, k: number): RawClient => {
    const client = clientAt(name, { of: clients[k], headers: { 'x-user': USERS[k] } });
    onTestFinished(() => client.close());
    return client;
  };
  const nameOf = (name: Name): RegExp => new RegExp(` ${instanceOf(name).pid}$`);
  /** A host with several instances: their names end with the process id. */
  const row = (page: Page, name: Name) =>
    page.getByRole('row').filter({ has: page.getByRole('link', { name: nameOf(name) }) });
  const title = async (page: Page): Promise<string> =>
    (await page.locator('h1').textContent()) ?? '';
  const titled = (page: Page, text: RegExp) =>
    page.getByRole('heading', { level: 1, name: text }).waitFor();
  const picture = async (page: Page): Promise<string> =>
    (await page.locator('.picture svg').getAttribute('aria-label')) ?? '';

  test('without the token it shows how to make one, and takes no other', async () => {
    const page = await pageOf('', {});
    await titled(page, /^This dashboard needs a token$/);
    await page.getByText('openssl rand -hex 16').waitFor();
    expect(await page.locator('main').textContent()).not.toMatch(/serves|instance/);
    await page.getByLabel('Token').fill('x'.repeat(20));
    await page.keyboard.press('Enter');
    await page.getByText('This is not the token.').waitFor();
    // The address with the token is pasted into this tab.
    await page.evaluate((token) => (location.hash = `#token=${token}`), TOKEN);
    await titled(page, /^3 instances serve/);
    // It stays in this tab: after a reload, and not in the address.
    await page.reload();
    await titled(page, /^3 instances serve\. No client is connected\.$/);
    expect(page.url()).not.toContain(TOKEN);
    await page.getByText('claude mcp add --transport http server').waitFor();
  });

  test('Instances have figures, a lane each, and a page with tools and refusals', async () => {
    const page = await pageOf('');
    for (const [k, user] of USERS.entries()) {
      const client = clientAt(NAMES[k % NAMES.length] as Name, { headers: { 'x-user': user } });
      await client.initialize({
        clientInfo: NAMED[user] ?? { name: 'claude-code', version: '2.1.0' },
      });
      clients.push(client);
      for (let n = 0; n <= k; n++) await say(client, 'read_file');
    }
    await titled(page, /^3 instances serve 4 live sessions\. Nothing waits\.$/);
    for (const name of NAMES) await row(page, name).getByText('serving').waitFor();
    expect((await picture(page)).match(/is serving, joined \d+ s ago/g)).toHaveLength(3);
    expect(await page.locator('.picture .bar').count()).toBeGreaterThan(0);
    await page.getByRole('link', { name: nameOf('b') }).click();
    await titled(page, nameOf('b'));
    await page.getByText(`pid ${instanceOf('b').pid} on`).waitFor();
    // The keyboard alone: the next link after the focus of the view.
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('main');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await titled(page, /^Sessions$/);
    expect(page.url()).toContain('#/sessions?q=');
  });

  test('Sessions are searched by user and hash; one of them ends after its dialog', async () => {
    const page = await pageOf('#/sessions');
    await page.getByText('Page 1: 4').waitFor();
    await page.getByRole('link', { name: /^[\da-f]{12}$/ }).waitFor();
    await page.keyboard.press('/');
    await page.keyboard.type('chlo');
    await page.keyboard.press('Enter');
    await page.getByText('Page 1: 1 of 4 that were searched').waitFor();
    const { sessionId = '' } = clients[2] as RawClient;
    const hash = sessionHash(sessionId);
    // An id is found, and is in no address that a proxy would log.
    const asked: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    await page.getByLabel('Id, hash, user, client or instance').fill(sessionId);
    await page.keyboard.press('Enter');
    await until(() => asked.filter((url) => url.includes('api/sessions')).length > 0);
    await page.getByText('Page 1: 1 of 4 that were searched').waitFor();
    expect(asked.filter((url) => url.includes(`q=${sessionId}`) || url.includes('chlo'))).toEqual(
      [],
    );
    await page.getByRole('link', { name: 'nnn' }).click();
    await titled(page, /^nnn/);
    await page.getByText(hash).waitFor();
    const address = page.url();
    await page.getByRole('cell', { name: 'calls', exact: true }).waitFor();
    expect(await page.content()).not.toContain(sessionId);
    expect(await violations(page)).toEqual([]);
    await page.getByRole('button', { name: 'End session…' }).click();
    await page.getByText('of chloe, gets 404 with its next request').waitFor();
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Cancel');
    await page.setViewportSize(NARROW);
    expect(await page.locator('dialog').evaluate((box) => box.scrollWidth - box.clientWidth)).toBe(
      0,
    );
    expect(await violations(page)).toEqual([]);
    await page.getByRole('button', { name: 'End session', exact: true }).click();
    await page.getByText('Page 1: 3').waitFor();
    expect((await clients[2]?.call('ping'))?.response.status).toBe(404);
    clients.splice(2, 1);
    await page.goto(address);
    await titled(page, /^This session has ended\.$/);
  });

  test('Tools say how often, how long and how many errors; one has its instances', async () => {
    // A name that has not answered at an instance is none of a tool there.
    const [client] = clients as [RawClient];
    for (let n = 0; n < 3; n++) await say(client, 'get_issue', { ms: 300 });
    await say(client, 'get_issue', { ms: 'a text' });
    const page = await pageOf('#/tools');
    const cells = page
      .getByRole('row')
      .filter({ has: page.getByRole('link', { name: 'get_issue' }) })
      .getByRole('cell');
    await until(async () => (await cells.allTextContents())[1] === '4', {
      what: 'four calls',
      timeoutMs: 10_000,
    });
    const [, , errors, share, , p99 = '', slowest = ''] = await cells.allTextContents();
    expect([errors, share]).toEqual(['1', '25 %']);
    const msOf = (text: string): number =>
      Number.parseFloat(text) * (text.endsWith(' ms') ? 1 : 1_000);
    for (const text of [p99, slowest]) expect(msOf(text)).toBeGreaterThan(270);
    // The one that failed comes first.
    await page.getByRole('button', { name: 'Errors' }).click();
    expect(await page.locator('tbody tr').first().textContent()).toContain('get_issue');
    await page.getByRole('link', { name: 'get_issue' }).first().click();
    await titled(page, /^get_issue$/);
    expect(await page.locator('tbody tr').count()).toBeGreaterThan(0);
    // An address that a person has typed.
    await page.evaluate(() => (location.hash = '#/tools/100%'));
    await titled(page, /^100%$/);
  });

  test('Refusals have the caller, and the option that allows it to copy', async () => {
    const page = await pageOf('#/refusals');
    await titled(page, /^\d+ requests? refused$/);
    const headers = { Origin: 'https://notes.example', 'User-Agent': '<b>bold</b>' };
    for (const port of fleet.ports)
      expect(
        (await fetch(`http://127.0.0.1:${port}/mcp`, { method: 'POST', headers, body: '{}' }))
          .status,
      ).toBe(403);
    const refused = page
      .getByRole('row')
      .filter({ hasText: 'A website calls that is not allowed' });
    await refused.getByRole('cell', { name: '3', exact: true }).waitFor();
    await page.getByRole('link', { name: 'A website calls that is not allowed' }).click();
    await page.getByText(/^--allowed-origins .*https:\/\/notes\.example'/).waitFor();
    await page.getByRole('button', { name: 'Variable' }).click();
    await page.getByText(/^SOJOURN_ALLOWED_ORIGINS=/).waitFor();
    // What a client sends is text.
    await page.getByRole('cell', { name: '<b>bold</b>' }).waitFor();
  });

  test('Tasks: one waits for its client, and is cancelled from the page', async () => {
    const eva = clientAt('b', { headers: { 'x-user': 'eva' } });
    onTestFinished(() => eva.close());
    const caller = new TaskClient(eva);
    const page = await pageOf('#/tasks');
    await page.getByText('No task is open.').waitFor();
    const task = await caller.start('publish');
    await page.getByRole('row').filter({ hasText: 'eva' }).getByText('input required').waitFor();
    expect(await page.content()).not.toContain(task);
    await page.getByRole('link', { name: 'publish' }).click();
    await page.getByText('It waits for its client to answer “confirm”.').waitFor();
    expect(await page.content()).not.toContain('Shall it be public?');
    expect(await violations(page)).toEqual([]);
    await page.getByRole('button', { name: 'Cancel task…' }).click();
    await page.getByText('Its client sees the status cancelled.').waitFor();
    await page.getByRole('button', { name: 'Cancel task', exact: true }).click();
    await titled(page, /^publish was cancelled\.$/);
    expect(await caller.get(task)).toMatchObject({ status: 'cancelled' });
    await page.evaluate(() => (location.hash = '#/tasks/aaaaaaaaaaaa'));
    await titled(page, /^The store does not know this task\.$/);
  });

  test('a store that is away for five seconds: who waits, since when, and what it was', async () => {
    const page = await pageOf('');
    await titled(page, /^3 instances serve 3 live sessions/);
    // Two at the instance of the page, which answers while the store is away.
    const here = [joinedAt('a', 0), joinedAt('a', 1)];
    for (const client of here) await say(client, 'read_file');
    link.refuse(true);
    link.cutAll();
    const began = performance.now();
    const took = here.map(async (client) => {
      const start = performance.now();
      expect(await say(client, 'read_file')).toContain('read_file');
      return performance.now() - start;
    });
    await titled(page, /^The store has not answered for \d+ s\. 2 requests wait for it here\.$/);
    while (performance.now() - began < 5_000) {
      const seconds = Number(
        /for (\d+) s\. 2 requests wait for it here\.$/.exec(await title(page))?.[1],
      );
      expect(Math.abs(seconds - (performance.now() - began) / 1_000)).toBeLessThan(CLOSE_S);
      // No instance is called killed or gone.
      for (const name of NAMES) expect(await row(page, name).textContent()).toContain('serving');
      expect(await picture(page)).toMatch(/The store is away since \d+ s\.$/);
      await page.waitForTimeout(400);
    }
    expect(await violations(page)).toEqual([]);
    link.heal();
    const back = performance.now();
    const longest = Math.max(...(await Promise.all(took)));
    await titled(
      page,
      /^The store was away for [\d.]+ s, until .* ago\. 2 requests waited, the longest [\d.]+ s\.$/,
    );
    const [, away, waited] =
      /for ([\d.]+) s, until .* longest ([\d.]+) s/.exec(await title(page)) ?? [];
    expect(Math.abs(Number(away) - (back - began) / 1_000)).toBeLessThan(CLOSE_S);
    expect(Math.abs(Number(waited) - longest / 1_000)).toBeLessThan(CLOSE_S);
    // Leases ran out meanwhile: each instance is there once, and has joined once.
    await until(
      async () =>
        (await page.locator(INSTANCES).count()) === 3 && !/killed/.test(await picture(page)),
    );
    for (const name of NAMES) await row(page, name).getByText('serving').waitFor();
    expect(
      (await page.locator('.picture').textContent())?.match(/joined/g)?.length ?? 0,
    ).toBeLessThanOrEqual(3);
  });

  test('kill -9 of the instance that answers the page: another one goes on, and says so once', async () => {
    const page = await pageOf('');
    await page.getByText(/^live from/).waitFor();
    await row(page, 'a').getByText('serving').waitFor();
    expect(await page.locator('.from').textContent()).toMatch(nameOf('a'));
    const killed = nameOf('a').source.slice(1, -1);
    const client = joinedAt('b', 0);
    serving.port = instanceOf('b').port;
    await instanceOf('a').kill();
    const began = performance.now();
    // It takes no message, long before its lease ends.
    const { pid } = instanceOf('a');
    await until(
      async () => {
        const { instances } = await valueOf<FleetPage>(instanceOf('b').port, 'fleet', '/dashboard');
        return instances.find((one) => one.process?.pid === pid)?.state === 'silent';
      },
      { timeoutMs: 2_000, what: 'the killed instance to be silent' },
    );
    await titled(page, new RegExp(`^.* ${killed} (was killed|has not answered)`));
    expect(await say(client, 'read_file')).toContain('read_file');
    await titled(page, new RegExp(`^.* ${killed} was killed \\d+ s ago`));
    // Its words are those of the clock, and each event is there once.
    for (let n = 0; n < 4; n++) {
      await page.waitForTimeout(700);
      const texts = (await page.locator('.picture text').allTextContents()).filter(
        (text) => text === 'killed',
      );
      expect(texts).toHaveLength(1);
      const [seconds] = /(?<=killed )\d+/.exec(await title(page)) ?? [];
      expect(Math.abs(Number(seconds) - (performance.now() - began) / 1_000)).toBeLessThan(CLOSE_S);
    }
    expect(await page.locator(INSTANCES).count()).toBe(3);
    await page.locator('.from').getByText(nameOf('b')).waitFor();
    await instanceOf('a').start();
    await row(page, 'a').getByText('serving').waitFor();
    expect(await page.locator(INSTANCES).count()).toBe(4);
  });

  test('a drain says what follows; the page shows it, and then that its connection is lost', async () => {
    const page = await pageOf('');
    await page.getByRole('link', { name: nameOf('c') }).click();
    await page.getByRole('button', { name: 'Drain…' }).click();
    await page.getByText('It stops accepting connections.').waitFor();
    expect(await violations(page)).toEqual([]);
    await page.getByRole('button', { name: 'Drain instance' }).click();
    await until(() => instanceOf('c').exitCode === 0, {
      timeoutMs: 20_000,
      what: 'the drained process',
    });
    await page.evaluate(() => (location.hash = '#/instances'));
    await row(page, 'c').getByText('left').waitFor();
    await address.close();
    await Promise.all([instanceOf('a').kill(), instanceOf('b').kill()]);
    await page
      .getByText(/^The connection to .* is lost since \d\d:\d\d:\d\d\. What you see is of/)
      .waitFor();
    await row(page, 'c').getByText('left').waitFor();
  });
});
