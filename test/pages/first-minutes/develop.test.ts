// @module-tag matrix
/** The page on development, followed from an empty folder, with a client that stays connected. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { describe, expect, onTestFinished } from 'vitest';
import { blocksOf } from '../../kit/pages.ts';
import { emptyFolder, everyPath, pathTest, type Started } from './harness.ts';

const PAGE = 'docs/guide/develop.md';
const [install, moduleBlock, dev, edited, broken] = blocksOf(PAGE, 'Develop');
const [sessions] = blocksOf(PAGE, 'Sessions');
const [types, inspector] = blocksOf(PAGE, 'Types and the Inspector');

/** A log with the numbers, the session and the folder of the page in place of those of this run. */
const asOnPage = (log: string, folder: string): string =>
  log
    .replaceAll(/(?:\d{4}-\d\d-\d\dT)?\d\d:\d\d:\d\d(?:\.\d{3}Z)?/g, 'TIME')
    .replaceAll(/\d+(?:\.\d+)? (?=m?s\b)/g, 'N ')
    .replaceAll(/sessionId=\w+/g, 'sessionId=ID')
    .replaceAll(folder, '/app');

/** The lines of a block of the page, each found in the log behind the one before. */
function expectLines(log: string, { text = '' } = {}): void {
  const lines = asOnPage(text, '/app').trimEnd().split('\n');
  let at = 0;
  for (const line of log.split('\n')) if (line === lines[at]) at += 1;
  expect(lines.slice(at), log).toEqual([]);
}

async function walk(node?: 24): Promise<void> {
  if (!install || !moduleBlock || !dev || !sessions || !types || !inspector)
    throw new Error('a block is missing');
  const folder = await emptyFolder(node && { node });
  await folder.follow([install, moduleBlock]);
  const [server] = (await folder.follow([dev])) as [Started];
  const client = new Client({ name: 'develop', version: '1.0.0' });
  onTestFinished(() => client.close());
  await client.connect(
    new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${folder.port}/mcp`)),
  );
  const hello = async (): Promise<unknown> => (await client.callTool({ name: 'hello' })).content;
  expect(await hello()).toEqual([{ type: 'text', text: 'Hello!' }]);

  const began = server.output.stdout.length;
  folder.write('mcp.ts', moduleBlock.text.replace("'Hello!'", "'Hi!'").replace('// mcp.ts\n', ''));
  await server.says(/loaded in/);
  expect(await hello()).toEqual([{ type: 'text', text: 'Hi!' }]);
  await server.says(/loaded in[^]*POST tools\/call hello {2}200/);
  expectLines(asOnPage(server.output.stdout.slice(began), folder.path), edited);

  const before = server.output.stdout.length;
  const saved = readFileSync(join(folder.path, 'mcp.ts'), 'utf8');
  folder.write(
    'mcp.ts',
    moduleBlock.text.replace("{}, () => ({ content: [{ type: 'text', text: 'Hello!' }] })", 'todo'),
  );
  await server.says(/not loaded/);
  expect(await hello()).toEqual([{ type: 'text', text: 'Hi!' }]);
  const said = asOnPage(server.output.stdout.slice(before), folder.path);
  expectLines(said.replace(/: (?:file:\/\/)?\/app\/mcp\.ts:\d+$/m, ': /app/mcp.ts:5'), broken);
  folder.write('mcp.ts', saved);
  await server.says(/not loaded[^]*loaded in/);

  expect(await folder.run(sessions.text)).toContain('develop 1.0.0');
  await folder.follow(
    blocksOf('docs/guide/getting-started.md', 'In TypeScript').filter(
      ({ language }) => language === 'json',
    ),
  );
  await folder.follow([types]);
  if (everyPath)
    expect(await folder.run(`npx -y ${inspector.text.replace('npx ', '')}`)).toContain(
      '"name": "hello"',
    );
  await server.stop('SIGINT');
  expect(await folder.run('cat .sojourn/.gitignore')).toBe('*\n');
}

describe('the page on development', () => {
  pathTest('leads from an empty folder to edits that a connected client sees', () => walk());
  if (everyPath) pathTest('leads there on Node 24 too', () => walk(24));
});
