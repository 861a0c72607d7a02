/** The example of `live()`: a page of Chromium, over a deploy. */
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { executable } from '../../kit/chromium.ts';
import { listening } from '../../kit/listening.ts';
import { textOf } from '../../kit/lab.ts';
import { callModern } from '../../kit/modern.ts';
import { RawClient } from '../../kit/raw-client.ts';
import { temporaryFolder } from '../../kit/temporary.ts';
import { until } from '../../kit/until.ts';
import { startExample } from './example-process.ts';

/** Counts the visits of a browser in its cookie. */
const site = createServer((req, res) => {
  const visits = Number(/visits=(\d+)/.exec(req.headers.cookie ?? '')?.[1] ?? 0) + 1;
  res.setHeader('set-cookie', `visits=${visits}; Path=/`);
  res.setHeader('content-type', 'text/html');
  res.end(`<title>${req.url}</title><body>visit ${visits}<br><a href="/next">Next</a></body>`);
});

/** So often the browser of the example is killed. */
const KILLS = 2;

/** The processes that a process has started and that are no helpers of a browser. */
const browsersOf = (pid = 0): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .split(' ')
    .map(Number)
    .filter((child) => child > 0 && /chrom/.test(readFileSync(`/proc/${child}/cmdline`, 'utf8')));

test.skipIf(executable === undefined)(
  'examples/live-page keeps a page over a deploy, by its address and its cookies',
  async () => {
    const url = await listening(site, async () => {});
    const env = {
      CHROMIUM: executable ?? '',
      ORIGINS: new URL(url).origin,
      STORE: join(temporaryFolder(), 'pages.db'),
    };
    const start = async () => {
      const example = startExample('live-page/server.ts', { env });
      const client = new RawClient(await example.url());
      const ask = async (name: string, args: object) =>
        (await callModern(client, 'tools/call', { name, arguments: args })).message;
      const call = async (name: string, args: object) => textOf(await ask(name, args));
      return { ...example, ask, call };
    };
    const first = await start();
    const opened = (await first.call('open_page', { url: new URL('/first', url).href })) ?? '';
    const page = /page_[\w-]+/.exec(opened)?.[0];
    expect(opened).toBe(`page ${page}: /first`);
    expect(await first.call('click', { page, text: 'Next' })).toContain('visit 2');
    expect(await first.ask('look', { page })).toMatchObject({
      result: { content: [{ type: 'image', mimeType: 'image/png' }] },
    });
    expect(await first.stop()).toBe(0);

    const second = await start();
    // It opens at /next with its cookie, which is a visit, and the click is another one.
    expect(await second.call('click', { page, text: 'Next' })).toContain('visit 4');
    // A crashed browser is one that the next call does without.
    for (let kill = 0; kill < KILLS; kill++) {
      const browsers = browsersOf(second.pid);
      expect(browsers).toHaveLength(1);
      for (const pid of browsers) process.kill(pid, 'SIGKILL');
      // Its parent has seen its end.
      await until(() => !browsers.some((pid) => existsSync(`/proc/${pid}`)));
      expect(await second.call('click', { page, text: 'Next' })).toContain('visit');
    }
    expect(browsersOf(second.pid)).toHaveLength(1);
    expect(await second.call('open_page', { page, url: 'http://127.0.0.1:9/' })).toContain(
      'ERR_FAILED',
    );
    expect(await second.call('close_page', { page })).toBe('closed: true');
    expect(await second.call('click', { page, text: 'Next' })).toContain('There is no page');
    expect(await second.stop()).toBe(0);
  },
);
