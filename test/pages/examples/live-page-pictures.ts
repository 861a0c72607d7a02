/**
 * `npm run screenshots`: the pictures of `docs/guide/browser.md`. A client of `examples/live-page` fills a cart in a
 * shop. Then its process gets SIGTERM, and the client continues at another one. What a picture shows has happened: the
 * calls with their answers, the page as the tool `look` sees it, and what the store has when no browser runs.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { executable, openBrowser } from '../../kit/chromium.ts';
import { callModern } from '../../kit/modern.ts';
import { RawClient } from '../../kit/raw-client.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const BYTES_MOST = 50_000;
const QUALITY = 85;
const SIZE = { width: 960, height: 340 };

/** A shop whose cart is a cookie. */
const shop = createServer((req, res) => {
  const cart = decodeURIComponent(/cart=([^;]*)/.exec(req.headers.cookie ?? '')?.[1] ?? '');
  const added = new URL(req.url ?? '', 'http://shop').searchParams.get('add');
  const items = [...cart.split(',').filter(Boolean), ...(added === null ? [] : [added])];
  res.setHeader('content-type', 'text/html; charset=utf-8');
  if (added !== null) {
    res.setHeader('set-cookie', `cart=${encodeURIComponent(items.join(','))}; Path=/`);
    return void res.writeHead(303, { location: '/' }).end();
  }
  const lines = items.map((item) => `<li>${item}`).join('');
  res.end(`<title>Lamp shop</title><style>body{font:28px system-ui;margin:48px;color:#222}a{margin-right:24px}
    h1{font-size:40px;margin:0 0 24px}</style><h1>Lamp shop</h1>
    ${['Desk lamp', 'Floor lamp', 'Wall lamp'].map((name) => `<a href="/?add=${name}">${name}</a>`).join('\n')}
    <p>Your cart: ${items.length}</p><ol>${lines}</ol>`);
});

/** A process of the example. */
class Served {
  readonly url: Promise<string>;
  readonly #process: ChildProcess;

  constructor(env: Record<string, string>) {
    this.#process = spawn(process.execPath, ['--import', 'tsx', 'examples/live-page/server.ts'], {
      cwd: root,
      env: { ...process.env, PORT: '0', ...env },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.url = once(this.#process.stdout as NodeJS.EventEmitter, 'data').then(([line]) =>
      String(line).trim(),
    );
  }

  async stop(): Promise<void> {
    const closed = once(this.#process, 'close');
    this.#process.kill('SIGTERM');
    await closed;
  }
}

interface Content {
  readonly type: string;
  readonly text?: string;
  readonly data?: string;
}

/** What one picture shows. */
interface Shown {
  readonly title: string;
  readonly calls: readonly string[];
  readonly right: string;
}

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

const pageOf = ({ title, calls, right }: Shown): string => `<!doctype html><meta charset="utf-8">
  <style>
    * { box-sizing: border-box } body { margin: 0; background: #f4f5f7; color: #1f2430; font: 15px system-ui }
    header { padding: 14px 20px; font-size: 20px; font-weight: 600 }
    main { display: flex; gap: 16px; padding: 0 20px 20px; height: 282px }
    section { background: #fff; border: 1px solid #d5d9e0; border-radius: 8px; overflow: hidden }
    .calls { width: 400px; padding: 12px 16px } .right { flex: 1 } .right img { width: 100% }
    pre { margin: 0; font: 13px/1.5 monospace; white-space: pre-wrap } .none { padding: 12px 16px }
  </style><header>${title}</header><main>
  <section class="calls"><pre>${escaped(calls.join('\n'))}</pre></section>
  <section class="right">${right}</section></main>`;

async function draw(browser: Browser, name: string, shown: Shown): Promise<void> {
  const page = await browser.newPage({ viewport: SIZE });
  await page.setContent(pageOf(shown));
  const session = await page.context().newCDPSession(page);
  const { data } = await session.send('Page.captureScreenshot', {
    format: 'webp',
    quality: QUALITY,
  });
  await page.close();
  const picture = Buffer.from(data, 'base64');
  const path = join(root, 'docs/images', `browser-${name}.webp`);
  writeFileSync(path, picture);
  console.log(`${path}: ${picture.length} bytes`);
  if (picture.length > BYTES_MOST) process.exitCode = 1;
}

const folder = mkdtempSync(join(tmpdir(), 'sojourn-live-page-'));
const store = join(folder, 'pages.db');
const handles = (...args: string[]): string =>
  execFileSync(
    process.execPath,
    [join(root, 'dist/cli/main.js'), 'handles', ...args, '--store', `sqlite:${store}`],
    { encoding: 'utf8' },
  );
await new Promise<void>((ready) => shop.listen(0, '127.0.0.1', ready));
const origin = `http://127.0.0.1:${(shop.address() as AddressInfo).port}`;
const env = { CHROMIUM: executable ?? '', ORIGINS: origin, STORE: store };
const browser = await openBrowser();
const [one, two] = [new Served(env), new Served(env)];
let id = '';
const short = (text: string): string =>
  text
    .replaceAll(/page_[\w-]{5,}/g, (name) => `${name.slice(0, 9)}…`)
    .replaceAll(origin, 'https://lamps.example');

/** A client with the calls that it made, each with its answer. */
async function clientOf(served: Served) {
  const client = new RawClient(await served.url);
  const calls: string[] = [];
  const call = async (name: string, args: Record<string, unknown>): Promise<Content> => {
    const { message } = await callModern(client, 'tools/call', { name, arguments: args });
    const [content] = (message as { result: { content: Content[] } }).result.content;
    const answer = content as Content;
    id ||= /page_[\w-]+/.exec(answer.text ?? '')?.[0] ?? '';
    const given = Object.entries(args).map(([key, value]) => `${key}: ${String(value)}`);
    const said =
      answer.text?.replace(/^[^]*(?=Your cart)/, '').replaceAll(/\n+/g, ' · ') ?? 'a picture';
    calls.push(short(`→ ${name} ${given.join(', ')}`), short(`  ${said}`), '');
    return answer;
  };
  const look = async (): Promise<string> =>
    `<img src="data:image/png;base64,${(await call('look', { page: id })).data}">`;
  return { client, calls, call, look };
}

try {
  const before = await clientOf(one);
  await before.call('open_page', { url: `${origin}/` });
  await before.call('click', { page: id, text: 'Desk lamp' });
  await before.call('click', { page: id, text: 'Floor lamp' });
  const filled = await before.look();
  await draw(browser, 'before', { title: 'Before the deploy', calls: before.calls, right: filled });

  await one.stop();
  const [hash = ''] = /anonymous\S+/.exec(handles('ls')) ?? [];
  const kept = handles('show', hash);
  await draw(browser, 'during', {
    title: 'During the deploy',
    calls: ['The first process got SIGTERM.', 'It has closed its browser and ended.'],
    right: `<div class="none"><pre>$ sojourn handles show ${hash}\n${escaped(kept)}</pre></div>`,
  });

  const after = await clientOf(two);
  await after.call('click', { page: id, text: 'Wall lamp' });
  const again = await after.look();
  await draw(browser, 'after', {
    title: 'After it, at the second process',
    calls: after.calls,
    right: again,
  });
  before.client.close();
  after.client.close();
} finally {
  await two.stop();
  await browser.close();
  shop.closeAllConnections();
  shop.close();
  rmSync(folder, { recursive: true, force: true });
}
