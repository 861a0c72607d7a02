// @module-tag matrix
/** README, followed word by word from an empty folder, and what the guide adds for TypeScript. */
import { execFile } from 'node:child_process';
import { cpSync, existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect } from 'vitest';
import { connectNegotiating, connectV1, connectV2 } from '../../clients/official.ts';
import { blocksOf } from '../../kit/pages.ts';
import { emptyFolder, everyPath, type Folder, pathTest } from './harness.ts';

/** A reader presses Enter in the client of the page. */
const pressingEnter = (command: string): string => `printf '\\n\\n' | ${command}`;

const README = blocksOf('README.md', 'From an empty folder').map((block) => ({
  ...block,
  text: block.text.replace(/(?<=^\$ )node client\.js$/m, pressingEnter),
}));
const withName = (name: string): string | undefined =>
  README.find(({ text }) => text.startsWith(`// ${name}\n`))?.text;

/** README's section on a restart, in the folder of its first section. */
async function restart(folder: Folder): Promise<void> {
  const first = folder.start('node server.js');
  await first.says(/http:/);
  const enters =
    "sh -c '(echo; while [ ! -f restarted ]; do sleep 0.1; done; echo) | node client.js'";
  const reader = folder.start(enters);
  await reader.says(/call 12/);
  expect(await first.stop('SIGINT')).toBe(0);
  const second = folder.start('node server.js');
  await second.says(/http:/);
  folder.write('restarted', '');
  await reader.says(/call 13/);
  await second.says(/A session continues here/);
  expect(second.output.stdout).not.toContain('died');
  // Its input has ended, as at Ctrl+D.
  expect((await reader.closed)[0]).toBe(0);
  expect(reader.output.stdout).toBe('call 12\ncall 13\n');
  await second.stop('SIGINT');
}

/** Clients of the two SDKs and of 2026-07-28 count on, over a restart and a kill. */
async function everyClient(folder: Folder, counted: number): Promise<void> {
  const serve = async () => {
    const server = folder.start('node server.js');
    await server.says(/http:/);
    return server;
  };
  let server = await serve();
  const url = `http://127.0.0.1:${folder.port}/mcp`;
  const clients = [await connectV1(url), await connectV2(url), await connectNegotiating(url)];
  const calls: unknown[] = [];
  for (const signal of ['SIGINT', 'SIGKILL', 'SIGINT'] as const) {
    for (const { say } of clients) calls.push(await say('count'));
    await server.stop(signal);
    if (calls.length < 9) server = await serve();
  }
  expect(calls).toEqual(calls.map((_, n) => `call ${counted + n + 1}`));
}

/** The files of this tree, without what is installed and built. */
async function cloneInto(folder: string): Promise<void> {
  const root = resolve(import.meta.dirname, '../../..');
  const { stdout } = await promisify(execFile)('git', ['ls-files', '-co', '--exclude-standard'], {
    cwd: root,
  });
  for (const file of stdout.trim().split('\n'))
    if (existsSync(join(root, file))) cpSync(join(root, file), join(folder, file));
}

async function inTypeScript(folder: Folder): Promise<void> {
  for (const name of ['server', 'client'])
    folder.write(`${name}.ts`, String(withName(`${name}.js`)));
  const servers = await folder.follow(blocksOf('docs/guide/getting-started.md', 'In TypeScript'));
  expect(await folder.run(pressingEnter('npx tsx client.ts'))).toContain('call 15');
  for (const server of servers) await server.stop('SIGINT');
}

describe('from an empty folder', () => {
  pathTest(
    'README leads to a server that answers a client, to one that counts on for every client after a restart and a kill, and the same program is strict TypeScript',
    async () => {
      const folder = await emptyFolder();
      const servers = await folder.follow(README);
      for (const server of servers) await server.stop('SIGINT');
      await everyClient(folder, 2);
      await restart(folder);
      await inTypeScript(folder);
    },
  );

  pathTest('what README packs in a clone is installed beside it', async () => {
    const folder = await emptyFolder();
    await cloneInto(join(folder.path, 'sojourn'));
    const page = readFileSync(
      resolve(import.meta.dirname, '../../../README.md'),
      'utf8',
    ).replaceAll(/\s+/g, ' ');
    const [, pack = '', install = ''] =
      /`(npm ci && npm pack [^`]+)`.*?`(npm install [^`]+)`/.exec(page) ?? [];
    await folder.run(`cd sojourn && ${pack} && mkdir ../app`);
    const packages = install.replace('sojourn-0', 'sojourn-redis-0').replace('npm install ', '');
    const importing =
      'import("sojourn-redis").then(() => import("sojourn")).then((s) => console.log(typeof s.createMcpEndpoint))';
    const said = await folder.run(
      `cd app && npm init -y && ${install} ${packages} @modelcontextprotocol/server && node -e '${importing}'`,
    );
    expect(said.trim().split('\n').at(-1)).toBe('function');
  });

  if (everyPath)
    for (const node of [undefined, 24] as const)
      for (const manager of ['npm install', 'npx -y pnpm@10.34.8 add', 'npx -y yarn@1.22.22 add'])
        pathTest(
          `README leads there with ${manager} on ${node === undefined ? 'this Node' : `Node ${node}`}`,
          async () => {
            const folder = await emptyFolder(node && { node });
            if (node !== undefined)
              expect(await folder.run('node --version')).toMatch(new RegExp(`^v${node}\\.`));
            const blocks = README.map((block) => ({
              ...block,
              text: block.text.replace('npm install', manager),
            }));
            expect(blocks.some(({ text }) => text.includes(`${manager} sojourn`))).toBe(true);
            await folder.follow(blocks);
          },
        );
});
