/** mcp-remote, as Claude Desktop starts it, and the Inspector: as `docs/guide/connect-a-client.md` shows them. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Block, blocksOf, commandsOf } from '../../kit/pages.ts';
import { emptyFolder, everyPath, type Folder, pathTest } from './harness.ts';

const PAGE = 'docs/guide/connect-a-client.md';
const SERVER = String(
  blocksOf('README.md', 'From an empty folder').find(({ language }) => language === 'js')?.text,
);

/** README's server with the token of the page. */
const GUARDED = `const info = { token: '', clientId: 'key', scopes: [], expiresAt: Infinity, extra: { sub: 'ann' } };
const verify = async (token) => (token === 'my-token' ? info : undefined);
${SERVER.replace("./sessions.db') }", "./sessions.db'), auth: { verify } }")}`;

/** Starts a server as Claude Desktop does, calls it all the time, and prints when calls begin to fail or to succeed. */
const HOST = `import { readFileSync } from 'node:fs';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
const { counter } = JSON.parse(readFileSync('claude_desktop_config.json', 'utf8')).mcpServers;
const client = new Client({ name: 'host', version: '1.0.0' });
const env = { ...process.env, HOME: process.cwd(), ...counter.env };
await client.connect(new StdioClientTransport({ ...counter, env, stderr: 'inherit' }));
for (let before = ''; ; await new Promise((done) => setTimeout(done, 100))) {
  const after = await client.callTool({ name: 'count' }).then(
    ({ content }) => content[0].text,
    () => 'failed',
  );
  if (/^call/.test(before) !== /^call/.test(after)) console.log('saw', after, 'after', before || 'nothing');
  before = after;
}
`;

async function withServer(node?: 24): Promise<Folder> {
  const folder = await emptyFolder(node && { node });
  await folder.follow(blocksOf('README.md', 'From an empty folder').slice(0, 1));
  folder.write('server.js', GUARDED);
  return folder;
}

if (everyPath) {
  pathTest(
    'mcp-remote continues its session after a restart, and opens a new one after a 404',
    async () => {
      const folder = await withServer();
      const [file] = blocksOf(PAGE, 'Claude Desktop');
      folder.write('claude_desktop_config.json', String(file?.text));
      folder.write('host.js', HOST);
      const first = folder.start('node server.js');
      await first.says(/http:/);
      const host = folder.start('node host.js');
      await host.says(/saw call 1 after nothing/);
      await first.stop('SIGINT');
      await host.says(/saw failed after call \d+/);
      const second = folder.start('node server.js');
      await host.says(/saw call ([2-9]|\d\d+) after failed/);
      await second.stop('SIGINT');
      await host.says(/after failed[^]*saw failed after/);
      for (const name of ['', '-wal', '-shm'])
        rmSync(join(folder.path, `sessions.db${name}`), { force: true });
      folder.start('node server.js');
      await host.says(/saw call 1 after failed/);
    },
  );

  pathTest('the Inspector calls a tool with a token', async () => {
    const folder = await withServer(24);
    await folder.start('node server.js').says(/http:/);
    const command = String(commandsOf(blocksOf(PAGE, 'Inspector')[0] as Block)[0]?.command);
    const said = await folder.run(`export MCP_TOKEN=my-token HOME=$PWD; ${command}`);
    expect(JSON.parse(said)).toEqual({ content: [{ type: 'text', text: 'call 1' }] });
  });
} else {
  test.skip('mcp-remote and the Inspector (npm run first-minutes)', () => {});
}
