/** The example of SDK 1, `simpleStreamableHttp.js`, with the lines of the page on moving an app. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'vitest';
import { blocksOf } from './pages.ts';

export const MOVING_PAGE = 'docs/guide/move.md';
const root = resolve(import.meta.dirname, '../..');
const EXAMPLE = join(
  root,
  'node_modules/@modelcontextprotocol/sdk/dist/esm/examples/server/simpleStreamableHttp.js',
);

/** The example without what the page says may go, and with the lines of the page. `gone` counts lines. */
export function movedApp(): { text: string; gone: number; all: number } {
  const lines = readFileSync(EXAMPLE, 'utf8').split('\n');
  const all = lines.findIndex((line) => line.startsWith('//# sourceMappingURL'));
  const from = lines.findIndex((line) => line.startsWith('// Close sessions that have been idle'));
  const gone = lines.slice(from, all);
  expect(gone.join('\n')).toMatch(/^const sessions = new Map\(\);$/m);
  expect(gone.join('\n')).toMatch(/^process\.on\('SIGINT'/m);
  const [block] = blocksOf(MOVING_PAGE, 'A map of transports');
  const text = [...lines.slice(0, from), block?.text].join('\n');
  // Its neighbours in the package, which an application has in its folder.
  const whole = text.replaceAll(/from '(\.{1,2}\/[^']+)'/g, (_, path: string) => {
    return `from '${new URL(path, pathToFileURL(EXAMPLE)).href}'`;
  });
  return { text: whole, gone: gone.length, all };
}
