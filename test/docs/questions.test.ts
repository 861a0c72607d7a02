/** Ten questions of readers, each answered within two clicks from README: the links, and what the reader finds. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '../..');

interface Answer {
  question: string;
  /** Links as pages write them, from README on: at most two. */
  clicks: readonly string[];
  /** What the section at the end says. */
  says: RegExp;
}

const ANSWERS: readonly Answer[] = [
  {
    question: 'How do I connect Cursor?',
    clicks: ['docs/guide/connect-a-client.md'],
    says: /^## Cursor\n[^#]*\.cursor\/mcp\.json/m,
  },
  {
    question: 'How do I test it in vitest?',
    clicks: ['docs/guide/test-your-server.md'],
    says: /npx vitest run/,
  },
  {
    question: 'Why does it answer 404?',
    clicks: ['docs/guide/sessions.md#how-long-a-session-lives'],
    says: /A request for an ended session gets 404/,
  },
  {
    question: 'Which store on one VM?',
    clicks: ['docs/stores/sqlite.md'],
    says: /sqlite\(/,
  },
  {
    question: 'How do I move my Express app?',
    clicks: ['docs/guide/move-an-express-app.md'],
    says: /app\.all\('\/mcp', endpoint\.node\)/,
  },
  {
    question: 'How do I do work of three minutes?',
    clicks: ['docs/guide/long-running-tools.md'],
    says: /task\.step\(/,
  },
  {
    question: 'What do I do about ERESOLVE?',
    clicks: ['docs/reference/packages.md#eresolve'],
    says: /between two other packages/,
  },
  {
    question: 'What do I lose on kill -9?',
    clicks: ['docs/guide/streams-and-resuming.md#when-the-process-dies'],
    says: /owner_lost/,
  },
  {
    question: 'How do I log errors to Sentry?',
    clicks: ['docs/guide/logging.md#errors-in-sentry'],
    says: /onerror.*Sentry\.captureException/,
  },
  {
    question: 'What must I set before the internet?',
    clicks: ['docs/guide/before-the-internet.md'],
    says: /--auth-issuer/,
  },
];

const read = (page: string): string => readFileSync(join(root, page), 'utf8');
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(' ', '-');

/** The text below the heading of an anchor, up to the next heading of its level; without an anchor the page. */
function sectionOf(page: string, anchor: string | undefined): string {
  const text = read(page);
  if (anchor === undefined) return text;
  const sections = text.split(/^(?=#{1,2} )/m);
  const found = sections.find((section) => anchorOf(section.split('\n')[0]?.replace(/^#+ /, '') ?? '') === anchor);
  expect(found, `${page} has a heading ${anchor}`).toBeDefined();
  return String(found);
}

test.each(ANSWERS)('$question', ({ clicks, says }) => {
  expect(clicks.length).toBeLessThanOrEqual(2);
  let page = 'README.md';
  let section = '';
  for (const link of clicks) {
    expect(read(page)).toContain(`](${link})`);
    const [path = '', anchor] = link.split('#');
    page = relative(root, resolve(root, dirname(page), path));
    section = sectionOf(page, anchor);
  }
  expect(section).toMatch(says);
});

/** Pages that README links, directly or over the contents. */
function reached(): Set<string> {
  const links = (page: string): string[] =>
    [...read(page).matchAll(/\]\((?![a-z]+:)([^)\s#]+)[^)]*\)/g)].map(([, path = '']) =>
      relative(root, resolve(root, dirname(page), path)),
    );
  return new Set([...links('README.md'), ...links('docs/README.md')]);
}

test('README links the contents first, and every page for users is reached over it', async () => {
  const readme = read('README.md');
  // Pictures come before it.
  expect(/(?<!!\[[^\]]*)\]\((?!https?:)([^)]+)\)/.exec(readme)?.[1]).toBe('docs/README.md');
  // @ts-expect-error a script without types
  const { wordsByPage } = (await import('../../scripts/words.mjs')) as { wordsByPage(): { page: string }[] };
  const pages = wordsByPage().map(({ page }) => page);
  const found = reached();
  expect(pages.filter((page) => page !== 'README.md' && !found.has(page))).toEqual([]);
  expect([...found].filter((page) => !existsSync(join(root, page)))).toEqual([]);
});

test('no package that npm compares decides which versions of others an application may have', () => {
  const { peerDependencies, peerDependenciesMeta } = JSON.parse(read('package.json')) as {
    peerDependencies: Record<string, string>;
    peerDependenciesMeta: Record<string, { optional: boolean }>;
  };
  expect(new Set(Object.values(peerDependencies))).toEqual(new Set(['*']));
  for (const name of Object.keys(peerDependencies)) expect(peerDependenciesMeta[name]).toEqual({ optional: true });
});
