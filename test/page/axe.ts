/** axe-core in the page: what it finds wrong for people who use a screen reader, a keyboard, or see little. */
import axe from 'axe-core';
import type { Page } from 'playwright-core';

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
    const inPage = globalThis as unknown as { axe: { run: () => Promise<{ violations: Result[] }> } };
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
