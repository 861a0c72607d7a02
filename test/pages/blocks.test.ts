/**
 * The code blocks of the pages for users. A program is whole: the page gives each file that it imports. Every other
 * block of TypeScript is a part that has the types of the package: names that it does not declare are in `GLOBALS`.
 * Blocks that quote a file (`test/pages/examples/guide.test.ts`) are compiled where that file is.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };

const root = resolve(import.meta.dirname, '../..');
const PAGES = [
  'README.md',
  ...['docs/guide', 'docs/stores', 'docs/reference'].flatMap((folder) =>
    readdirSync(join(root, folder)).map((name) => `${folder}/${name}`),
  ),
];

test.each(PAGES)('%s gives each file that its programs import', (page) => {
  const programs = readFileSync(join(root, page), 'utf8').matchAll(/^```[jt]s\n([^]*?)^```/gm);
  const texts = [...programs].map(([, text = '']) => text);
  const given = texts.map((text) => /^\/\/ (\S+\.\w+)\n/.exec(text)?.[1]);
  const imported = texts.flatMap((text) =>
    [...text.matchAll(/\bfrom '\.\/([^']+)'/g)].map(([, name]) => name),
  );
  expect(imported.filter((name) => !given.includes(name))).toEqual([]);
});

/** What parts of a program use and do not show. */
const GLOBALS = `import type * as sojourn from 'sojourn';
import type { Pool } from 'pg';
declare global {
  const createMcpEndpoint: typeof sojourn.createMcpEndpoint;
  const McpServer: typeof import('@modelcontextprotocol/server').McpServer;
  const postgres: typeof import('sojourn-postgres').postgres;
  const redis: typeof import('sojourn-redis').redis;
  const factory: (ctx: sojourn.McpEndpointContext) => import('@modelcontextprotocol/server').McpServer;
  const endpoint: sojourn.McpEndpoint;
  const pool: Pool;
  const jwt: { issuer: string; audience: string };
  const info: { name: string; version: string };
  const id: string;
  const password: string;
  // An MCP server, or that of node:http.
  const server: any;
  const app: Record<string, (path: unknown, handler?: (...given: any[]) => unknown) => unknown>;
  const Bun: { serve(options: { port: number; idleTimeout: number; fetch(request: Request): unknown }): void };
  const Deno: { serve(options: { port: number }, handler: (request: Request) => unknown): void };
  const [database, metrics, page, refusals, Sentry, tenants]: any[];
  const makeReport: () => Promise<string>;
}
`;

const COMPILER_OPTIONS = {
  target: 'es2023',
  module: 'nodenext',
  strict: true,
  noEmit: true,
  skipLibCheck: true,
  types: ['node'],
  paths: {
    ...Object.fromEntries(
      Object.entries(manifest.exports).flatMap(([name, target]) =>
        typeof target === 'string'
          ? []
          : [[name.replace('.', 'sojourn'), [target.types.replace('.', '../../..')]]],
      ),
    ),
    'sojourn-*': ['../../../packages/*/dist/index.d.ts'],
  },
};

const BLOCK = /(<!-- quoted from \S+ -->\n\n)?^```ts\n([^]*?)^```/gm;

test('blocks of TypeScript have the types of the package', { timeout: 120_000 }, async () => {
  const folder = join(root, 'node_modules/.cache/sojourn-blocks');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const files = PAGES.flatMap((page) =>
    [...readFileSync(join(root, page), 'utf8').matchAll(BLOCK)]
      // `npm run first-minutes` runs the program of Nest, whose packages are not installed here.
      .filter(([, quoted, text = '']) => quoted === undefined && !text.includes('@nestjs/'))
      .map(([, , text = ''], n) => {
        const name = `${page.replaceAll(/\W+/g, '-')}-${n}.ts`;
        const isMember = /^\w+: \{/.test(text);
        writeFileSync(
          join(folder, name),
          `${isMember ? `createMcpEndpoint(factory, {\n${text}});` : text}\nexport {};\n`,
        );
        return name;
      }),
  );
  expect(files.length).toBeGreaterThan(25);
  writeFileSync(join(folder, 'globals.d.ts'), GLOBALS);
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: COMPILER_OPTIONS, files: ['globals.d.ts', ...files] }),
  );
  const tsc = join(root, 'node_modules/.bin/tsc');
  const ran = promisify(execFile)(tsc, ['-p', folder, '--pretty', 'false'], { cwd: folder });
  const { stdout } = await ran.catch((error: { stdout: string }) => error);
  expect(stdout).toBe('');
});
