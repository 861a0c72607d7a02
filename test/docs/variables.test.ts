/**
 * Only the command line reads `SOJOURN_` variables. Where a page for all readers names one, the same paragraph names the
 * option or call for a process of the reader's own, or says that it speaks of `serve`.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
/** The page of the command line. */
const OF_THE_COMMAND = 'docs/guide/cli.md';
const PAGES = ['docs/guide', 'docs/stores']
  .flatMap((folder) => readdirSync(join(root, folder)).map((name) => `${folder}/${name}`))
  .filter((page) => page !== OF_THE_COMMAND);

/** `SOJOURN_ALLOWED_HOSTS` is `allowedHosts`. */
const optionOf = (variable: string): string =>
  variable
    .slice('SOJOURN_'.length)
    .toLowerCase()
    .replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

test.each(PAGES)('%s gives no variable alone to a reader with a process of their own', (page) => {
  const text = readFileSync(join(root, page), 'utf8').replaceAll(/^```[^]*?^```/gm, '');
  const paragraphs = text.split(/\n\n|\n(?=- |\|)/);
  const alone = paragraphs.flatMap((paragraph) =>
    [...paragraph.matchAll(/SOJOURN_[A-Z_]+/g)]
      .map(([variable]) => variable)
      .filter((variable) => !paragraph.includes(`\`${optionOf(variable)}\``) && !/\bserve\b|closeWith/.test(paragraph)),
  );
  expect(alone).toEqual([]);
});
