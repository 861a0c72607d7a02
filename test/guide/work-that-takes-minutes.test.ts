/** The programs of the page on long work: a job survives `kill -9` of its process, and progress arrives. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { McpServer } from '@modelcontextprotocol/server';
import { expect, onTestFinished, test } from 'vitest';
import { createMcpEndpoint } from '../../src/index.ts';
import { blocksOf } from '../kit/pages.ts';
import { projectFolder } from '../kit/project-folder.ts';
import { freePort } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';

const PAGE = 'docs/guide/work-that-takes-minutes.md';

/** Takes until a file of the topic's name exists. */
const REPORT = `import { existsSync } from 'node:fs';
export async function makeReport(topic) {
  console.log('began', topic);
  while (!existsSync(topic)) await new Promise((done) => setTimeout(done, 20));
  if (topic === 'none') throw new Error('no data');
  return 'all about ' + topic;
}
`;

test('a report is made although its process is killed, and its client learns of failures', async () => {
  const port = await freePort();
  const [server] = blocksOf(PAGE, 'Work that takes minutes');
  const folder = projectFolder({ 'server.js': String(server?.text.replace('3000', `${port}`)), 'report.js': REPORT });
  const start = async () => {
    const child = spawn(process.execPath, ['server.js'], { cwd: folder, stdio: ['ignore', 'pipe', 'ignore'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (more: string) => (said += more));
    await until(() => said.includes('http://'), { timeoutMs: 20_000 });
    return { child, began: (topic: string) => until(() => said.includes(`began ${topic}`)) };
  };
  const first = await start();
  const client = new Client({ name: 'reader', version: '1' });
  await client.connect(new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${port}/mcp`)));
  const call = async (name: string, args: Record<string, unknown>): Promise<string> => {
    const { content } = await client.callTool({ name, arguments: args });
    return (content as Array<{ text: string }>)[0]?.text ?? '';
  };
  const idOf = (text: string): string => String(/id (\S+)/.exec(text)?.[1]);
  const ids = [
    idOf(await call('start_report', { topic: 'bees' })),
    idOf(await call('start_report', { topic: 'none' })),
  ];
  await first.began('none');
  expect(await call('report_status', { id: ids[0] })).toBe('still working');
  first.child.kill('SIGKILL');
  await once(first.child, 'exit');
  const second = await start();
  for (const id of ids) expect(await call('report_status', { id })).toBe('still working');
  await second.began('none');
  for (const topic of ['bees', 'none']) writeFileSync(join(folder, topic), '');
  await until(async () => (await call('report_status', { id: ids[0] })) === 'all about bees');
  await until(async () => (await call('report_status', { id: ids[1] })) === 'failed: no data');
  expect(await call('report_status', { id: 'other' })).toBe('There is no such report.');
  await client.close();
}, 60_000);

test('progress of the tool arrives in its order', async () => {
  const [block] = blocksOf(PAGE, 'In one call');
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
