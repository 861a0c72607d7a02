// @module-tag matrix
/** The complete programs of the page on mounting, and of the guide in CommonJS, saved and started in empty folders. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { describe, expect } from 'vitest';
import { blocksOf } from '../../kit/pages.ts';
import { emptyFolder, everyPath, type Folder, pathTest } from './harness.ts';

const MOUNTING = 'docs/guide/mounting.md';
const GUIDE = 'docs/guide/getting-started.md';

/** What a client of each era gets from the tool `greet`. */
async function greetings(
  { port }: Folder,
  eras: readonly ('legacy' | { pin: string })[],
): Promise<string[]> {
  const greeted: string[] = [];
  for (const mode of eras) {
    const client = new Client({ name: 'newcomer', version: '1' }, { versionNegotiation: { mode } });
    await client.connect(
      new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${port}/mcp`)),
    );
    const { content } = await client.callTool({ name: 'greet', arguments: { name: 'Ada' } });
    greeted.push(JSON.stringify(content));
    await client.close();
  }
  return greeted;
}

const HELLO = '[{"type":"text","text":"Hello Ada!"}]';
const BOTH = ['legacy', { pin: '2026-07-28' }] as const;

describe('from an empty folder', () => {
  pathTest(
    'Express with a server of SDK v1 answers, lets a page of an allowed origin in, and logs its client alone',
    async () => {
      const folder = await emptyFolder();
      const [server] = await folder.follow(blocksOf(MOUNTING, 'Express with a server of SDK v1'));
      expect(await greetings(folder, ['legacy'])).toEqual([HELLO]);
      const preflight = await fetch(`http://127.0.0.1:${folder.port}/mcp`, {
        method: 'OPTIONS',
        headers: { origin: 'https://app.example.com', 'access-control-request-method': 'POST' },
      });
      expect(preflight.headers.get('access-control-allow-origin')).toBe('https://app.example.com');
      expect(preflight.headers.get('access-control-expose-headers')).toContain('Mcp-Session-Id');
      expect(server?.output.stdout.match(/^\S.*/gm)).toEqual([
        `http://127.0.0.1:${folder.port}/mcp`,
        expect.stringMatching(/^sojourn: A client connected \{ client: 'newcomer 1'.*\}$/),
      ]);
    },
  );

  if (everyPath) {
    pathTest('NestJS answers both eras, and a client continues after a restart', async () => {
      const folder = await emptyFolder();
      const [server] = await folder.follow(blocksOf(MOUNTING, 'NestJS'));
      expect(await greetings(folder, BOTH)).toEqual([HELLO, HELLO]);
      const client = new Client({ name: 'stays', version: '1' });
      await client.connect(
        new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${folder.port}/mcp`)),
      );
      await server?.stop('SIGINT');
      const again = folder.start('npx tsx server.ts');
      await again.says(/http:/);
      const { content } = await client.callTool({ name: 'greet', arguments: { name: 'Ada' } });
      expect(JSON.stringify(content)).toBe(HELLO);
      await again.says(/A session continues here/);
      expect(again.output.stdout).not.toContain('died');
      await client.close();
    });

    for (const name of ['express', 'fastify', 'hono'])
      pathTest(
        `examples/${name} starts in an empty folder with the commands at its head`,
        async () => {
          const folder = await emptyFolder();
          const text = readFileSync(
            join(import.meta.dirname, `../../../examples/${name}/server.ts`),
            'utf8',
          );
          folder.write('server.ts', text);
          const [init = '', install = '', start = ''] = [...text.matchAll(/^ \* {5}(.+)$/gm)].map(
            ([, line]) => line,
          );
          await folder.run(init, install);
          await folder.start(start).says(/http:/);
          expect(await greetings(folder, BOTH)).toEqual([HELLO, HELLO]);
        },
      );

    for (const node of [undefined, 24] as const)
      pathTest(`CommonJS on ${node === undefined ? 'this Node' : `Node ${node}`}`, async () => {
        const folder = await emptyFolder(node === undefined ? {} : { node });
        await folder.follow(blocksOf(GUIDE, 'In CommonJS'));
        expect(await greetings(folder, BOTH)).toEqual([HELLO, HELLO]);
      });
  }
});
