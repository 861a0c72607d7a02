/**
 * `npm run screenshots`: takes the pictures of README and docs from a real fleet, of which one instance is killed. They
 * go to `docs/images/`. With the font Inter (`apt-get install fonts-inter`) they look as on most desktops. Names of
 * instances need Linux and root.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { openBrowser } from '../../kit/chromium.ts';
import { NARROW, openPage } from './browser.ts';
import type { Fleet } from '../../pages/deploy/instances.ts';
import { TOKEN } from '../../kit/dashboard.ts';
import { say, tool } from '../../kit/lab.ts';
import { callModern } from '../../kit/modern.ts';
import { RawClient } from '../../kit/raw-client.ts';
import { startDashboards } from './real-fleet.ts';

const FOLDER =
  process.env['SCREENSHOTS'] ?? fileURLToPath(new URL('../../../docs/images', import.meta.url));
const BYTES_MOST = 120_000;
const QUALITY = 90;
const USERS = 'ann ben chloe dan eva finn grace hugo ines jon kim lea mia noah olga pia'.split(' ');
const SIZE = { width: 1280, height: 640 };
const CLIENTS = 140;
const EVERY_MS = 1_600;
/** The picture shows a minute. */
const FILLED_MS = 64_000;

/** The system font of the browser is Inter, where it is installed. */
function useInter(folder: string): void {
  const file = join(folder, 'fonts.conf');
  writeFileSync(
    file,
    `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig><include>/etc/fonts/fonts.conf</include>
     ${['system-ui', 'sans', 'sans-serif'].map(inter).join('')}</fontconfig>`,
  );
  process.env['FONTCONFIG_FILE'] = file;
}

const inter = (family: string): string =>
  `<match target="pattern"><test name="family"><string>${family}</string></test>
   <edit name="family" mode="prepend" binding="strong"><string>Inter</string></edit></match>`;

/** A picture of interfaces is smaller as WebP, which Playwright does not ask the browser for. */
async function shoot(page: Page, name: string): Promise<void> {
  const path = join(FOLDER, `dashboard-${name}.webp`);
  await page.mouse.move(0, 0);
  const session = await page.context().newCDPSession(page);
  const clip = await page.evaluate(() => ({
    x: 0,
    y: 0,
    width: innerWidth,
    height: innerHeight,
    scale: devicePixelRatio,
  }));
  const { data } = await session.send('Page.captureScreenshot', {
    format: 'webp',
    quality: QUALITY,
    clip,
  });
  const picture = Buffer.from(data, 'base64');
  writeFileSync(path, picture);
  const size = picture.length;
  console.log(`${path}: ${size} bytes${size > BYTES_MOST ? `, more than ${BYTES_MOST}` : ''}`);
  if (size > BYTES_MOST) process.exitCode = 1;
}

const KINDS: readonly (readonly [name: string, version: string, protocolVersion: string])[] = [
  ['claude-code', '2.1.0', '2025-11-25'],
  ['Cursor', '1.9.2', '2025-06-18'],
  ['Visual Studio Code', '1.112.0', '2025-11-25'],
  ['ChatGPT', '1.0.0', '2025-06-18'],
  ['go-sdk', '1.8.0', '2026-07-28'],
];
const TOOLS = ['search_docs', 'get_issue', 'list_issues', 'run_query', 'read_file', 'translate'];

/** Clients that call until it is stopped, each at any instance. */
async function traffic(urls: readonly string[]): Promise<{ stop(): Promise<void> }> {
  let isOver = false;
  const open: RawClient[] = [];
  const runs: Promise<void>[] = [];
  for (let k = 0; k < CLIENTS; k += 1) {
    const [name, version, protocolVersion] = KINDS[k % KINDS.length] as (typeof KINDS)[number];
    const isModern = protocolVersion === '2026-07-28';
    const options = { timeoutMs: 60_000, headers: { 'x-user': USERS[(k * 7) % USERS.length] } };
    const first = new RawClient(urls[k % urls.length] ?? '', options);
    const info = { name, version };
    if (!isModern) await first.initialize({ protocolVersion, clientInfo: info });
    if (!isModern && k % 3 !== 0) void first.get().catch(() => undefined);
    const clients = [first, ...urls.map((url) => new RawClient(url, { ...options, of: first }))];
    open.push(...clients);
    const meta = { 'io.modelcontextprotocol/clientInfo': info };
    const run = async (): Promise<void> => {
      for (let n = k; !isOver; n += 1) {
        await delay(EVERY_MS * (k % 5 === 4 ? 8 : 1) * (0.4 + Math.random() * 1.2));
        const at = clients[n % clients.length] as RawClient;
        const called = TOOLS[(n * 5 + k) % TOOLS.length] as string;
        await (isModern ? callModern(at, ...tool(called), { meta }) : say(at, called)).catch(
          () => undefined,
        );
      }
    };
    runs.push(run());
  }
  return {
    stop: async () => {
      isOver = true;
      for (const client of open) client.close();
      await Promise.all(runs);
    },
  };
}

/** Refused in three ways, so that the view has something to show. */
async function beRefused(url: string): Promise<void> {
  const send = (headers: Record<string, string>) =>
    fetch(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...headers },
      body: '{}',
    });
  for (let k = 0; k < 14; k += 1)
    await send({ Origin: 'https://notes.example', 'User-Agent': 'Mozilla/5.0 Chrome/151.0' });
  for (let k = 0; k < 5; k += 1)
    await send({ 'Mcp-Session-Id': 'a-session-that-ended', 'User-Agent': 'Cursor/1.9.2' });
  for (let k = 0; k < 3; k += 1)
    await send({ 'Content-Type': 'text/plain', 'User-Agent': 'curl/8.14.1' });
}

async function pictures(fleet: Fleet, page: Page, narrow: Page): Promise<void> {
  const show = async (hash: string): Promise<void> => {
    await page.evaluate((to) => (location.hash = to), hash);
    await delay(3_000);
  };
  await delay(FILLED_MS);
  await fleet.instances[1]?.kill();
  await delay(12_000);
  await shoot(page, 'killed');
  await shoot(narrow, 'narrow');
  await page.emulateMedia({ colorScheme: 'dark' });
  await shoot(page, 'dark');
  await page.emulateMedia({ colorScheme: 'light' });
  await show('#/sessions');
  await shoot(page, 'sessions');
  await show('#/tools');
  await shoot(page, 'tools');
  await show('#/refusals/403%20origin');
  await shoot(page, 'refusals');
}

mkdirSync(FOLDER, { recursive: true });
const fonts = mkdtempSync(join(tmpdir(), 'sojourn-fonts-'));
useInter(fonts);
const browser = await openBrowser();
const hostname = (n: number) => [
  'unshare',
  '--uts',
  'sh',
  '-c',
  'hostname "$0" && exec "$@"',
  `web-${n + 1}`,
];
const fleet = await startDashboards(undefined, ['--hibernate-after-ms', '8000'], (n) => ({
  prefix: hostname(n),
}));
try {
  const urls = fleet.ports.map((port) => `http://127.0.0.1:${port}/mcp`);
  const dashboard = `http://127.0.0.1:${fleet.ports[0]}/dashboard/`;
  const { page } = await openPage(browser, dashboard, { token: TOKEN, viewport: SIZE });
  const narrow = await openPage(browser, dashboard, {
    token: TOKEN,
    viewport: NARROW,
    deviceScaleFactor: 1.5,
  });
  const { stop } = await traffic(urls);
  await beRefused(urls[0] ?? '');
  await pictures(fleet, page, narrow.page);
  await stop();
} finally {
  await browser.close();
  await fleet.close();
  rmSync(fonts, { recursive: true, force: true });
}
