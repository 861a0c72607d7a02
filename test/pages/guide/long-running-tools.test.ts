/**
 * The programs of the page on long-running tools: its client's task survives `kill -9` of the server and keeps its
 * step, and progress of an ordinary call arrives.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { McpServer } from '@modelcontextprotocol/server';
import { expect, test } from 'vitest';
import { createMcpEndpoint } from '../../../src/index.ts';
import { startNode } from '../../kit/child-process.ts';
import { type Block, blocksOf, commandsOf, nameOf } from '../../kit/pages.ts';
import { projectFolder } from '../../kit/project-folder.ts';
import { freePort } from '../../kit/servers/index.ts';

const PAGE = 'docs/guide/long-running-tools.md';

test("the page's client gets its film although its server is killed in the second step", async () => {
  const port = `${await freePort()}`;
  const [server, , client, shown] = blocksOf(PAGE, 'Long-running tools') as [
    Block,
    Block,
    Block,
    Block,
  ];
  // A server that is slow to begin answers with events.
  const program = server.text
    .replace('setTimeout(20_000, what)', '(console.log(what, key), setTimeout(1_500, what))')
    .replace(
      'tasks: true',
      '$&, runSessionHandler: (request, session, run) => setTimeout(100).then(run)',
    );
  const folder = projectFolder({
    'package.json': '{}',
    [nameOf(server)]: program.replace('3000', port),
    [nameOf(client)]: client.text.replace('3000', port),
  });
  const start = async () => {
    const started = startNode([nameOf(server)], { cwd: folder });
    await started.says(/http:/);
    return started;
  };
  const [{ command, prints }] = commandsOf(shown) as [{ command: string; prints: string }];
  const first = await start();
  const caller = startNode(['-c', command], { cwd: folder, program: 'sh' });
  const film = /a film of frames of sea (\S+):film/;
  const id = await first.says(film);
  await first.stop('SIGKILL');
  const second = await start();
  await caller.closed;
  expect(caller.output).toEqual({ stdout: `${prints}\n`, stderr: '' });
  expect(second.output.stdout).toContain(`a film of frames of sea ${id}:film`);
  expect(second.output.stdout).not.toContain(`${id}:frames`);
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
  await client.connect(
    new StreamableHTTPClientTransport(new URL('http://localhost/mcp'), { fetch }),
  );
  const seen: unknown[] = [];
  const { content } = await client.callTool(
    { name: 'import' },
    { onprogress: (step) => void seen.push(step) },
  );
  expect(content).toEqual([{ type: 'text', text: 'imported' }]);
  expect(seen).toEqual([1, 2, 3].map((progress) => ({ progress, total: 3 })));
  expect(parts).toEqual([1, 2, 3]);
  await client.close();
  await endpoint.close({ timeoutMs: 0 });
});
