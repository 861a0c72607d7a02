/** README and the guide's first page, followed word by word from an empty folder. */
import { describe, expect, test } from 'vitest';
import { type Block, blocksOf, emptyFolder, everyPath, pathTest } from './harness.ts';

const README = blocksOf('README.md', 'From an empty folder');
const GUIDE = blocksOf('docs/guide/getting-started.md', 'From an empty folder');
const withName = (name: string): string | undefined => README.find(({ text }) => text.startsWith(`// ${name}\n`))?.text;

test('README and getting-started have the same programs and commands', () => {
  expect(README.length).toBeGreaterThan(4);
  expect(GUIDE.slice(0, README.length)).toEqual(README);
});

describe('from an empty folder', () => {
  pathTest('README leads to a server that answers a client and curl', async () => {
    const folder = await emptyFolder();
    await folder.follow(README);
  });

  pathTest('README leads to a session that continues after a restart', async () => {
    const [lines, client] = blocksOf('README.md', 'Restart it');
    expect(blocksOf('docs/guide/getting-started.md', 'Restart it')).toEqual([lines, client]);
    const [imported, created, stops] = String(lines?.text).trim().split('\n');
    const server = String(withName('server.js'));
    const stored = server.replace(/^const endpoint = .*$/m, String(created));
    expect(stored).not.toBe(server);
    const folder = await emptyFolder();
    await folder.follow(README.slice(0, 1));
    folder.write('server.js', `${imported}\n${stored}${stops}\n`);
    await folder.follow([client as Block]);
    const first = folder.start('node server.js');
    await first.says(/http:/);
    const enters = "sh -c '(echo; while [ ! -f restarted ]; do sleep 0.1; done; echo) | node enter.js'";
    const reader = folder.start(enters);
    await reader.says(/call 1 of this session/);
    expect(await first.stop()).toBe(0);
    const second = folder.start('node server.js');
    await second.says(/http:/);
    folder.write('restarted', '');
    await reader.says(/call 2 of this session/);
    await second.says(/A session continues here/);
    expect(second.output()).not.toContain('died');
    // Its input has ended, as at Ctrl+D.
    expect(await reader.ended).toBe(0);
    expect(reader.output()).toBe('call 1 of this session\ncall 2 of this session\n');
  });

  pathTest('the same program is strict TypeScript', async () => {
    const folder = await emptyFolder();
    await folder.follow(README.slice(0, 1));
    for (const name of ['server', 'client']) folder.write(`${name}.ts`, String(withName(`${name}.js`)));
    await folder.follow(blocksOf('docs/guide/getting-started.md', 'In TypeScript'));
    expect(await folder.run('npx tsx client.ts')).toContain('call 3 of this session');
  });

  if (everyPath)
    pathTest('README leads there on Node 24 too', async () => {
      const folder = await emptyFolder({ node: 24 });
      expect(await folder.run('node --version')).toMatch(/^v24\./);
      await folder.follow(README);
    });
});
