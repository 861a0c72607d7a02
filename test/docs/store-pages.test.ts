/** The programs of the pages on stores are strict TypeScript: a reader copies them. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
/** What the reader has. */
const GIVEN = `
import type { McpEndpointFactory } from 'sojourn';
import type { Pool } from 'pg';
declare global {
  const factory: McpEndpointFactory;
  const pool: Pool;
  const password: string;
}
`;

test('every block of TypeScript compiles', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-store-pages-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, 'node_modules'));
  for (const name of ['@modelcontextprotocol', '@types', 'redis', 'pg'])
    symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name));
  symlinkSync(root, join(folder, 'node_modules/sojourn'));
  writeFileSync(join(folder, 'given.d.ts'), GIVEN);
  let blocks = 0;
  for (const page of readdirSync(join(root, 'docs/stores'))) {
    const store = page.replace('.md', '');
    const text = readFileSync(join(root, 'docs/stores', page), 'utf8');
    for (const [, block = ''] of text.matchAll(/^```ts\n(.*?)^```/gms)) {
      // A later block of a page needs no second import.
      const imported = block.includes(`'sojourn/${store}'`) ? '' : `import { ${store} } from 'sojourn/${store}';\n`;
      writeFileSync(join(folder, `${store}-${blocks++}.ts`), imported + block);
    }
  }
  expect(blocks).toBeGreaterThan(6);
  const compilerOptions = {
    target: 'es2023',
    module: 'nodenext',
    types: ['node'],
    strict: true,
    noEmit: true,
    skipLibCheck: true,
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions }));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const run = promisify(execFile)(process.execPath, [tsc, '-p', folder, '--pretty', 'false']);
  const { stdout } = await run.catch((error: { stdout: string }) => error);
  expect(stdout).toBe('');
}, 120_000);
