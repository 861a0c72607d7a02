/** Chromium for tests with a page. */
import { type Browser, chromium } from 'playwright-core';
// @ts-expect-error a script without types
import * as programs from '../../scripts/servers.mjs';

const { findProgram } = programs as { findProgram: (name: string) => string | undefined };
const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable'];
export const executable = NAMES.map((name) => findProgram(name)).find((path) => path !== undefined);

export async function openBrowser(): Promise<Browser> {
  if (executable === undefined)
    throw new Error('Chromium is not installed: apt-get install chromium');
  // Containers run tests as root, where the sandbox of Chromium does not start.
  return chromium.launch({ executablePath: executable, args: ['--no-sandbox'] });
}
