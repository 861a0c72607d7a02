/** The example of `live()`: a page of Chromium, over a deploy. */
import { createServer } from 'node:http';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { executable } from '../../kit/chromium.ts';
import { listening } from '../../kit/listening.ts';
import { textOf } from '../../kit/lab.ts';
import { callModern } from '../../kit/modern.ts';
import { RawClient } from '../../kit/raw-client.ts';
import { temporaryFolder } from '../../kit/temporary.ts';
import { startExample } from './example-process.ts';

/** Counts the visits of a browser in its cookie. */
const site = createServer((req, res) => {
  const visits = Number(/visits=(\d+)/.exec(req.headers.cookie ?? '')?.[1] ?? 0) + 1;
  res.setHeader('set-cookie', `visits=${visits}; Path=/`);
  res.setHeader('content-type', 'text/html');
  res.end(`<title>${req.url}</title><body>visit ${visits}<br><a href="/next">Next</a></body>`);
});

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
      const call = async (name: string, args: object) =>
        textOf((await callModern(client, 'tools/call', { name, arguments: args })).message);
      return { ...example, call };
    };
    const first = await start();
    const opened = (await first.call('open_page', { url: new URL('/first', url).href })) ?? '';
    const page = /page_[\w-]+/.exec(opened)?.[0];
    expect(opened).toBe(`page ${page}: /first`);
    expect(await first.call('click', { page, text: 'Next' })).toContain('visit 2');
    expect(await first.stop()).toBe(0);

    const second = await start();
    // It opens at /next with its cookie, which is a visit, and the click is another one.
    expect(await second.call('click', { page, text: 'Next' })).toContain('visit 4');
    expect(await second.call('open_page', { page, url: 'http://127.0.0.1:9/' })).toContain(
      'ERR_FAILED',
    );
    expect(await second.call('close_page', { page })).toBe('closed: true');
    expect(await second.call('click', { page, text: 'Next' })).toContain('There is no page');
    expect(await second.stop()).toBe(0);
  },
);
