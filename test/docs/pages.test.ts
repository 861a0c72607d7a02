/** What pages take from the source is up to date: `node scripts/pages.mjs` writes it. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
// @ts-expect-error a script without types
import * as script from '../../scripts/pages.mjs';

const root = resolve(import.meta.dirname, '../..');
const written = await (script as { pages: () => Promise<Array<{ file: string; text: string }>> }).pages();

test.each(written)('$file is as scripts/pages.mjs writes it', ({ file, text }) => {
  expect(readFileSync(join(root, file), 'utf8')).toBe(text);
});
