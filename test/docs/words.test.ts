/** The pages for users stay short, together and those with a limit alone. `node scripts/words.mjs` prints them. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
// @ts-expect-error a script without types
import * as script from '../../scripts/words.mjs';

const pages = (script as { wordsByPage: () => { page: string; words: number }[] }).wordsByPage();

const ALL = 40_000;
const AT_MOST: Readonly<Record<string, number>> = {
  'docs/guide/before-the-internet.md': 500,
  'docs/guide/connect-a-client.md': 500,
  'docs/guide/move-an-express-app.md': 500,
  'docs/guide/test-your-server.md': 700,
  'docs/guide/long-running-tools.md': 1_100,
  'docs/guide/develop.md': 500,
  'docs/guide/lifecycle.md': 400,
  'docs/performance.md': 900,
  'docs/reliability.md': 900,
};

test('the pages for users have no more words than a person reads', () => {
  expect(pages.length).toBeGreaterThan(20);
  expect(pages.map(({ page }) => page).filter((page) => /internals|adr/.test(page))).toEqual([]);
  expect(pages.reduce((sum, { words }) => sum + words, 0)).toBeLessThanOrEqual(ALL);
});

test.each(Object.entries(AT_MOST))('%s has at most %i words', (page, most) => {
  const words = pages.find((each) => each.page === page)?.words ?? 0;
  expect(words).toBeGreaterThan(0);
  expect(words).toBeLessThanOrEqual(most);
});

test('README has fewer than 150 lines', () => {
  expect(readFileSync('README.md', 'utf8').trimEnd().split('\n').length).toBeLessThan(150);
});
