/** axe-core in the page: what it finds wrong for people who use a screen reader, a keyboard, or see little. */
import axe from 'axe-core';
import type { Page } from 'playwright-core';
import { NARROW, WIDE } from './browser.ts';

interface Result {
  readonly id: string;
  readonly help: string;
  readonly nodes: readonly { readonly html: string }[];
}

/** One line for each violation. */
export async function violations(page: Page): Promise<string[]> {
  // The evaluated text is no script of the page: its policy does not apply.
  await page.evaluate(axe.source);
  const found = await page.evaluate(async () => {
    const inPage = globalThis as unknown as {
      axe: { run: () => Promise<{ violations: Result[] }> };
    };
    return (await inPage.axe.run()).violations;
  });
  return found.map(
    ({ id, help, nodes }) =>
      `${id}: ${help}: ${nodes
        .slice(0, 3)
        .map((node) => node.html.slice(0, 160))
        .join(' ')}`,
  );
}

/** What axe finds in the page as it is, narrow and dark, wide and light, and whether it is wider than the screen. */
export async function violationsInBothForms(page: Page): Promise<string[]> {
  const found: string[] = [];
  for (const [viewport, colorScheme] of [
    [NARROW, 'dark'],
    [WIDE, 'light'],
  ] as const) {
    await page.setViewportSize(viewport);
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (over > 0) found.push(`${over} px wider than the screen`);
    found.push(...(await violations(page)));
  }
  return found;
}
