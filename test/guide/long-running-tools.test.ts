/**
 * The programs of the page on long-running tools: a task survives `kill -9` of its process and keeps its step, progress
 * of an ordinary call arrives, and a job of two tools survives too.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { McpServer } from '@modelcontextprotocol/server';
import { expect, onTestFinished, test } from 'vitest';
import { createMcpEndpoint } from '../../src/index.ts';
import { createRawClient } from '../kit/raw-client.ts';
import { startNode } from '../kit/child-process.ts';
import { blocksOf } from '../kit/pages.ts';
import { projectFolder } from '../kit/project-folder.ts';
import { freePort } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { TaskClient } from '../tasks/kit.ts';

const PAGE = 'docs/guide/long-running-tools.md';

async function killed(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

test('the program of the page continues a task in its second step after a kill', { timeout: 60_000 }, async () => {
  const port = await freePort();
  const [server] = blocksOf(PAGE, 'Long-running tools');
  const program = String(server?.text)
    .replace('3000', String(port))
    .replace('setTimeout(20_000, what)', '(console.log(what, key), setTimeout(1_500, what))');
  const folder = projectFolder({ 'package.json': '{}', 'server.mjs': program });
  const start = async () => {
    const child = spawn(process.execPath, ['server.mjs'], { cwd: folder, stdio: ['ignore', 'pipe', 'ignore'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (more: string) => (said += more));
    await until(() => said.includes('http://'), { timeoutMs: 20_000 });
    return { child, said: () => said };
  };
  const url = `http://127.0.0.1:${port}/mcp`;
  const first = await start();
  const before = new TaskClient(createRawClient(url));
  const id = await before.start('film', { scene: 'sea' });
  await until(() => first.said().includes(`a film of frames of sea ${id}:film`), { timeoutMs: 20_000 });
  await killed(first.child);
  before.raw.close();
  const second = await start();
  const after = new TaskClient(createRawClient(url));
  expect(await after.ended(id)).toMatchObject({
    status: 'completed',
    result: { content: [{ text: 'a film of frames of sea' }] },
  });
  expect(second.said()).toContain(`a film of frames of sea ${id}:film`);
  expect(second.said()).not.toContain(`${id}:frames`);
  after.raw.close();
});

test('examples/report-status makes a report although its process is killed', { timeout: 60_000 }, async () => {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'reports-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const env = { ...process.env, PORT: String(port), DATABASE: join(folder, 'sessions.db'), REPORT_MS: '1500' };
  const start = async () => {
    const { child, output } = startNode(['--import', 'tsx', 'examples/report-status/server.ts'], { env });
    await until(() => output.stdout.includes('http://'), { timeoutMs: 20_000 });
    return child;
  };
  const first = await start();
  const client = new Client({ name: 'reader', version: '1' });
  await client.connect(new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${port}/mcp`)));
  const call = async (name: string, args: Record<string, unknown>): Promise<string> => {
    const { content } = await client.callTool({ name, arguments: args });
    return (content as Array<{ text: string }>)[0]?.text ?? '';
  };
  const started = async (topic: string) => String(/id (\S+)/.exec(await call('start_report', { topic }))?.[1]);
  const [bees, none] = [await started('bees'), await started('none')];
  expect(await call('report_status', { id: bees })).toBe('still working');
  await killed(first);
  await start();
  for (const id of [bees, none]) expect(await call('report_status', { id })).toBe('still working');
  await until(async () => (await call('report_status', { id: bees })) === 'all about bees');
  await until(async () => (await call('report_status', { id: none })) === 'failed: no data');
  expect(await call('report_status', { id: 'other' })).toBe('There is no such report.');
  await client.close();
});

test('progress of the tool arrives in its order', async () => {
  const [block] = blocksOf(PAGE, 'Clients without tasks');
  const folder = projectFolder({
    'importer.js': `export function register(server, importPart) {\n${block?.text}}\n`,
  });
  const { register } = (await import(pathToFileURL(join(folder, 'importer.js')).href)) as {
    register(server: McpServer, importPart: (part: number) => Promise<void>): void;
  };
  const server = new McpServer({ name: 'importer', version: '1.0.0' });
  const parts: number[] = [];
  register(server, async (part) => void parts.push(part));
  const endpoint = createMcpEndpoint(server, { logger: false });
  const client = new Client({ name: 'reader', version: '1' });
  const fetch = (url: string | URL, init?: RequestInit) => endpoint.fetch(new Request(url, init));
  await client.connect(new StreamableHTTPClientTransport(new URL('http://localhost/mcp'), { fetch }));
  const seen: unknown[] = [];
  const { content } = await client.callTool({ name: 'import' }, { onprogress: (step) => void seen.push(step) });
  expect(content).toEqual([{ type: 'text', text: 'imported' }]);
  expect(seen).toEqual([1, 2, 3].map((progress) => ({ progress, total: 3 })));
  expect(parts).toEqual([1, 2, 3]);
  await client.close();
  await endpoint.close();
});
