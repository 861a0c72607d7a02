/**
 * One `sojourn serve --dashboard`: its processes are killed with a call running, and it is started again on the same
 * file. What the API and the page then say of the death.
 */
import { join } from 'node:path';
import Libsql from 'libsql';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { FleetPage } from '../../../src/dashboard/wire.ts';
import { startWorkers, type Workers } from '../../cli/workers-process.ts';
import { openBrowser } from '../../kit/chromium.ts';
import { TOKEN, valueOf } from '../../kit/dashboard.ts';
import { freePort } from '../../kit/free-port.ts';
import { say } from '../../kit/lab.ts';
import { openClient } from '../../kit/listening.ts';
import type { RawClient } from '../../kit/raw-client.ts';
import { until } from '../../kit/until.ts';
import { openPage } from './browser.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await openBrowser();
}, 60_000);
afterAll(() => browser.close());

const look = (url: string): Promise<FleetPage> =>
  valueOf<FleetPage>(Number(new URL(url).port), 'fleet', '/dashboard');

/** A serve with one worker, which has two calls behind it, a refusal, and one that runs; and its next start. */
async function served(ms = 60_000) {
  const flags = ['--dashboard', '--dashboard-token', TOKEN, '--port', String(await freePort())];
  const start = (folder?: string): Workers =>
    startWorkers({ workers: 1, flags, ...(folder !== undefined && { folder }) });
  const first = start();
  const url = await first.url();
  const { instances, instance } = await look(url);
  const client = openClient(url);
  await client.initialize();
  for (const n of ['1', '2']) expect(await say(client, 'count')).toBe(n);
  await fetch(url, { method: 'POST', headers: { origin: 'https://evil.example' } });
  const running = say(client, 'slow', { ms }).catch(() => {});
  await until(() => first.output.stderr.includes('slow began'), { what: 'the call to run' });
  return {
    first,
    url,
    client,
    running,
    id: instance,
    was: instances[0],
    again: () => start(first.folder),
  };
}

/** The dead process told its figures, the running call with them. */
async function told({ folder }: Workers): Promise<void> {
  const file = new Libsql(join(folder, 's.db'), { timeout: 1_000 });
  onTestFinished(() => void file.close());
  const rows = file.prepare(`SELECT data FROM rows WHERE data LIKE '%slow%'`);
  await until(() => rows.all().length > 0, { what: 'the figures with the running call' });
}

describe.skipIf(process.platform === 'win32')('serve --dashboard on one file', () => {
  test('killed with its supervisor, and started again: the page says who died, since when it counts, what ran', async () => {
    const { first, url, client, running, id, was, again } = await served();
    await told(first);
    const [worker] = first.all();
    const killedAt = Date.now();
    first.kill('SIGKILL');
    process.kill(Number(worker), 'SIGKILL');
    await running;
    const second = again();
    expect(await second.url()).toBe(url);
    const dead = await until(
      async () =>
        (await look(url)).instances.find((one) => one.id === id && one.state === 'killed'),
      { what: 'the death' },
    );
    // The client comes back, and is told of the call that ran.
    const back: RawClient = openClient(url, { of: client });
    expect(await say(back, 'count')).toBe('3');

    const { deaths, instance, instances } = await look(url);
    const process_ = { pid: worker };
    expect(deaths).toMatchObject([{ id, process: process_, sessions: 1, running: 1 }]);
    expect(dead?.figures).toMatchObject({
      since: was?.figures?.since,
      runs: [{ tool: 'slow' }],
      refusals: [{ times: 1 }],
    });
    expect(dead?.figures?.tools.find(({ name }) => name === 'count')?.calls).toBe(2);
    const own = instances.find((one) => one.id === instance)?.figures;
    // It is taken from what the dead process wrote last.
    expect(Math.abs((deaths[0]?.at ?? 0) - killedAt)).toBeLessThan(15_000);
    expect(own?.since).toBeGreaterThanOrEqual(killedAt);
    expect(own?.deaths).toEqual([{ instance: id, rerun: 0, lost: 1 }]);

    const { page, complaints, close } = await openPage(browser, new URL('/dashboard/', url).href, {
      token: TOKEN,
    });
    onTestFinished(close);
    const title = page.getByRole('heading', { level: 1 });
    await title.filter({ hasText: /was killed \d+ s ago\./ }).waitFor();
    expect(await title.textContent()).toMatch(
      new RegExp(
        `${worker} was killed \\d+ s ago\\. 1 call may have run, and its client knows\\.$`,
      ),
    );
    const died = page.getByRole('region', { name: 'Deaths of the last hour' }).locator('tbody tr');
    expect(await died.allTextContents()).toEqual([expect.stringContaining(` ${worker}`)]);
    await page.evaluate(() => (location.hash = '#/tools'));
    await page
      .getByText(/Calls since .+ began to count; since .+ began to count/)
      .first()
      .waitFor();
    const count = page.getByRole('region', { name: 'Tools' }).locator('tbody tr').first();
    expect(await count.textContent()).toMatch(/^count3/);
    expect(complaints).toEqual([]);
  }, 120_000);

  test('whose supervisor alone is killed: its worker leaves, and no death is shown', async () => {
    const { first, url, running, id, again } = await served(2_000);
    first.kill('SIGKILL');
    await running;
    await again().url();
    await until(
      async () => {
        const row = (await look(url)).instances.find((one) => one.id === id);
        return row === undefined || row.state === 'left';
      },
      { what: 'the worker to leave' },
    );
    expect((await look(url)).deaths).toEqual([]);
  }, 120_000);
});
