/**
 * `node scripts/words.mjs` prints how many words the pages for users have, page by page, as `wc -w` counts them: also
 * in code and tables. `test/docs/words.test.ts` holds the sum and the limits of single pages.
 *
 * Users read README.md and docs/ without docs/adr and docs/internals. Four pages are looked up and not read, so they
 * do not count: the lines of the log, the metrics, the notices, the API of the dashboard.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const NOT_FOR_USERS = /^docs\/(?:adr|internals)\//;
const LOOKED_UP = [
  'docs/reference/dashboard-api.md',
  'docs/reference/log-messages.md',
  'docs/reference/metrics.md',
  'docs/reference/notices.md',
];

/** Words by page, the longest page first. */
export function wordsByPage(root = resolve(import.meta.dirname, '..')) {
  const docs = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .map((name) => `docs/${name.split(sep).join('/')}`)
    .filter((page) => page.endsWith('.md') && !NOT_FOR_USERS.test(page) && !LOOKED_UP.includes(page));
  return ['README.md', ...docs]
    .map((page) => ({ page, words: readFileSync(join(root, page), 'utf8').split(/\s+/).filter(Boolean).length }))
    .sort((a, b) => b.words - a.words);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const pages = wordsByPage();
  for (const { page, words } of pages) console.log(`${String(words).padStart(6)} ${page}`);
  console.log(`${String(pages.reduce((sum, { words }) => sum + words, 0)).padStart(6)} in all`);
}
