import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
// @ts-expect-error -- a script, without types
import { newestOf, PARTS } from '../../scripts/test-newest.mjs';

const root = resolve(import.meta.dirname, '../..');

test('both lines of the SDK stay in their line; clients of stores are the newest of all', () => {
  const dependencies = { '@modelcontextprotocol/server': '^2.4.0', pino: '^10.0.0' };
  const devDependencies = { '@modelcontextprotocol/sdk': '^1.32.2', pg: '^8.0.0' };
  const asked = ['@modelcontextprotocol/server@^2', '@modelcontextprotocol/sdk@^1'];
  expect(newestOf({ dependencies, devDependencies })).toEqual([...asked, 'pg@latest']);
});

test('the run has every package of the SDK and of a store, and its folders exist', () => {
  const names = (newestOf(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))) as string[]).join(' ');
  for (const name of ['sdk@^1', 'server@^2', 'client@^2', 'redis@', 'pg@']) expect(names).toContain(name);
  expect((PARTS as string[]).filter((part) => !existsSync(join(root, part)))).toEqual([]);
});
