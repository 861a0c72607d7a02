/**
 * `npm run screenshots`: takes the pictures of README and docs from a real fleet, of which one instance is killed. They
 * go to `docs/images/`. With the font Inter (`apt-get install fonts-inter`) they look as on most desktops. Names of
 * instances need Linux and root.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { NARROW, openBrowser, openPage } from './browser.ts';
import { RealFleet, TOKEN, Traffic } from './real-fleet.ts';

const FOLDER = process.env['SCREENSHOTS'] ?? fileURLToPath(new URL('../../docs/images', import.meta.url));
const BYTES_MOST = 120_000;
const QUALITY = 0.9;
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

/** A picture of interfaces is smaller as WebP, which only the browser writes here. */
const toWebp = (page: Page, png: Buffer): Promise<string> =>
  page.evaluate(
    async ([data, quality]) => {
      const image = new Image();
      image.src = `data:image/png;base64,${data}`;
      await image.decode();
      const canvas = document.createElement('canvas');
      [canvas.width, canvas.height] = [image.width, image.height];
      canvas.getContext('2d')?.drawImage(image, 0, 0);
      return canvas.toDataURL('image/webp', quality).split(',')[1] ?? '';
    },
    [png.toString('base64'), QUALITY] as const,
  );

async function shoot(page: Page, name: string): Promise<void> {
  const path = join(FOLDER, `dashboard-${name}.webp`);
  await page.mouse.move(0, 0);
  const picture = Buffer.from(await toWebp(converter, await page.screenshot()), 'base64');
  writeFileSync(path, picture);
  const size = picture.length;
  console.log(`${path}: ${size} bytes${size > BYTES_MOST ? `, more than ${BYTES_MOST}` : ''}`);
  if (size > BYTES_MOST) process.exitCode = 1;
}

/** Refused in three ways, so that the view has something to show. */
async function beRefused(fleet: RealFleet): Promise<void> {
  const [port] = fleet.ports;
  const url = `http://127.0.0.1:${port}/mcp`;
  const send = (headers: Record<string, string>) =>
    fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/json', ...headers }, body: '{}' });
  for (let k = 0; k < 14; k += 1)
    await send({ Origin: 'https://notes.example', 'User-Agent': 'Mozilla/5.0 Chrome/151.0' });
  for (let k = 0; k < 5; k += 1) await send({ 'Mcp-Session-Id': 'a-session-that-ended', 'User-Agent': 'Cursor/1.9.2' });
  for (let k = 0; k < 3; k += 1) await send({ 'Content-Type': 'text/plain', 'User-Agent': 'curl/8.14.1' });
}

async function pictures(fleet: RealFleet, page: Page, narrow: Page): Promise<void> {
  const show = async (hash: string): Promise<void> => {
    await page.evaluate((to) => (location.hash = to), hash);
    await delay(3_000);
  };
  await delay(FILLED_MS);
  await fleet.kill('web-2');
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

const fleet = new RealFleet({
  names: ['web-1', 'web-2', 'web-3'],
  hostnames: true,
  users: true,
  flags: ['--resume-modern-calls', '--hibernate-after-ms', '8000'],
});
mkdirSync(FOLDER, { recursive: true });
useInter(fleet.folder);
const browser = await openBrowser();
/** A page without a policy, which makes WebP of PNG. */
const converter = await browser.newPage();
const traffic = new Traffic();
try {
  await fleet.start();
  const { page } = await openPage(browser, fleet.dashboard('web-1'), { token: TOKEN, viewport: SIZE });
  const narrow = await openPage(browser, fleet.dashboard('web-1'), {
    token: TOKEN,
    viewport: NARROW,
    deviceScaleFactor: 1.5,
  });
  await traffic.start(fleet, CLIENTS, EVERY_MS, USERS);
  await beRefused(fleet);
  await pictures(fleet, page, narrow.page);
  if (traffic.errors.length > 0) console.log(`errors of clients: ${traffic.errors.join('\n')}`);
} finally {
  await browser.close();
  await traffic.stop();
  await fleet.close();
}
