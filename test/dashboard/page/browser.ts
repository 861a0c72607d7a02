/** A page of the dashboard in Chromium. */
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';

export const WIDE = { width: 1440, height: 900 };
export const NARROW = { width: 390, height: 844 };

/** A page whose errors fail the test: `complaints` has what the console said. */
export async function openPage(
  browser: Browser,
  url: string,
  given: BrowserContextOptions & { token?: string } = {},
) {
  const { token, ...options } = given;
  const context = await browser.newContext({ viewport: WIDE, ...options });
  // As it was opened with `#token=` before.
  if (token !== undefined)
    await context.addInitScript(
      (it) => sessionStorage.setItem('sojourn-dashboard-token', it),
      token,
    );
  const page: Page = await context.newPage();
  page.setDefaultTimeout(30_000);
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    // Chromium says itself when a request fails or is refused: tests do both on purpose.
    const isOfNetwork = message.text().startsWith('Failed to load resource');
    if (message.type() === 'error' && !isOfNetwork) complaints.push(message.text());
  });
  await page.goto(url);
  return { page, complaints, close: () => context.close() };
}
