/** Every link of a page to a file of the repository, and to a heading in it, leads somewhere. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
const pages = [
  ...readdirSync(root).filter((name) => name.endsWith('.md') && name !== 'CHANGELOG.md'),
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
  ...['demo', 'postgres', 'redis'].map((name) => `packages/${name}/README.md`),
  'llms.txt',
];
const LINK = /\]\((?![a-z]+:)([^)\s]+)\)/g;
/** Text in code is no link and no heading. */
const withoutCode = (text: string): string =>
  text.replace(/^ *```[\s\S]*?^ *```/gm, '').replace(/(`+)[^`].*?\1/g, '');

/** The anchors of a page, as GitHub makes them. */
function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ''] of text
    .replace(/^ *```[\s\S]*?^ *```/gm, '')
    .matchAll(/^#+ +(.*)$/gm)) {
    const words = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').replaceAll('&', '');
    const anchor = words
      .trim()
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-');
    const twice = [anchor, ...Array.from({ length: 9 }, (_, n) => `${anchor}-${n + 1}`)];
    anchors.add(twice.find((name) => !anchors.has(name)) ?? anchor);
  }
  for (const [, id = ''] of text.matchAll(/<a (?:id|name)="([^"]+)"/g)) anchors.add(id);
  return anchors;
}

describe.each(pages)('%s', (page) => {
  test('links to files and headings that exist', () => {
    const text = readFileSync(join(root, page), 'utf8');
    const broken = [...withoutCode(text).matchAll(LINK)]
      .map(([, link = '']) => link)
      .filter((link) => {
        const [path = '', heading] = link.split('#');
        const target = path === '' ? join(root, page) : resolve(root, dirname(page), path);
        if (relative(root, target).startsWith('..') || !existsSync(target)) return true;
        return heading !== undefined && !anchorsOf(readFileSync(target, 'utf8')).has(heading);
      });
    expect(broken).toEqual([]);
  });
});

test('llms.txt lists every page but the decisions and the lists of pages', () => {
  const listed = [...readFileSync(join(root, 'llms.txt'), 'utf8').matchAll(LINK)].map(
    ([, link]) => link,
  );
  const expected = pages.filter(
    (page) => page.endsWith('.md') && !/^packages\/|^docs\/(?:adr\/|.*README)/.test(page),
  );
  expect(listed.toSorted()).toEqual([...expected, 'CHANGELOG.md'].toSorted());
});
