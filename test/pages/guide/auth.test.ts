/** The page on authorization: its key, its issuer and its commands, carried out. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { ALL_FLAGS, flagName } from '../../../src/cli/flags.ts';
import { resolveOptions } from '../../../src/base/options/resolve.ts';
import { startNode } from '../../kit/child-process.ts';
import { bearer } from '../../kit/issuer.ts';
import { say } from '../../kit/lab.ts';
import { listening, openClient } from '../../kit/listening.ts';
import { type Block, blocksOf, commandsOf } from '../../kit/pages.ts';
import { projectFolder } from '../../kit/project-folder.ts';
import { freePort } from '../../kit/servers/index.ts';

const PAGE = 'docs/guide/auth.md';
const LIST = 'docs/guide/deployment.md';
const root = resolve(import.meta.dirname, '../../..');

/** Starts a program that prints what `says` finds. */
function started(
  folder: string,
  line: string,
  says: RegExp,
  env: NodeJS.ProcessEnv = {},
): Promise<string> {
  const command = ['-c', `exec ${line}`];
  return startNode(command, { program: 'sh', cwd: folder, env: { ...process.env, ...env } }).says(
    says,
  );
}

/** What the tool says to a caller with this token. Rejects for one who may not call. */
async function hello(url: string, token: string): Promise<string | undefined> {
  const client = openClient(url, bearer(token));
  const { response, message } = await client.initialize();
  if (response.status !== 200) throw new Error(`${response.status} ${JSON.stringify(message)}`);
  return say(client, 'hello');
}

const HELLO = 'Hello ann!';

test('the key opens the server, and no other does', async () => {
  const [keys, server] = blocksOf(PAGE, 'A static API key');
  const print = `printf '%s %s' "$MCP_TOKEN" "$MCP_TOKEN_HASH"`;
  const { stdout } = await promisify(execFile)('sh', ['-ec', `${keys?.text}${print}`]);
  const [token = '', hash = ''] = stdout.split(' ');
  expect(token).toMatch(/^[\da-f]{64}$/);
  const port = `${await freePort()}`;
  const folder = projectFolder({ 'server.js': String(server?.text.replace('3000', port)) });
  const url = await started(folder, 'node server.js', /(http:\S+)/, { MCP_TOKEN_HASH: hash });
  expect(await hello(url, token)).toBe(HELLO);
  await expect(hello(url, hash)).rejects.toThrow(/invalid_token|401|Unauthorized/);
  await expect(hello(url, token.slice(1))).rejects.toThrow(/invalid_token|401|Unauthorized/);

  // Without the variable nothing is let in.
  const closed = `${await freePort()}`;
  const forgotten = projectFolder({ 'server.js': String(server?.text.replace('3000', closed)) });
  const open = await started(forgotten, 'node server.js', /(http:\S+)/, {
    MCP_TOKEN_HASH: undefined,
  });
  await expect(hello(open, 'undefined')).rejects.toThrow(/invalid_token|401|Unauthorized/);
});

test('the issuer of the page prints a token that the command of the page accepts', async () => {
  const blocks = blocksOf(PAGE, 'A token to try with');
  const [issuerAt, port] = [`${await freePort()}`, `${await freePort()}`];
  const here = (text: string): string => text.replaceAll('9000', issuerAt).replaceAll('3000', port);
  const issuer = blocks.find(({ text }) => text.startsWith('// issuer.js'));
  const folder = projectFolder({
    'issuer.js': here(String(issuer?.text)),
    'mcp.js': `import { McpServer } from '@modelcontextprotocol/server';
      const server = new McpServer({ name: 'private', version: '1.0.0' });
      server.registerTool('hello', {}, (ctx) => ({
        content: [{ type: 'text', text: 'Hello ' + ctx.http.authInfo.extra.sub + '!' }] }));
      export default server;`,
  });
  const token = await started(folder, 'node issuer.js', /(ey\S+)\n/);
  const command = here(String(commandsOf(blocks.at(-1) as Block)[0]?.command));
  const sojourn = `${process.execPath} node_modules/sojourn/dist/cli/main.js`;
  const url = await started(
    folder,
    `${command.replace('npx sojourn', sojourn)} --port ${port}`,
    /(http:\S+\/mcp)/,
  );
  expect(await hello(url, token)).toBe(HELLO);
  await expect(hello(url, `${token.slice(0, -4)}AAAA`)).rejects.toThrow(
    /invalid_token|401|Unauthorized/,
  );
});

test('the request for a token has the form that authorization servers take', async () => {
  const [command] = commandsOf(blocksOf(PAGE, 'A token to try with')[0] as Block);
  const server = createServer((request, response) => {
    request
      .setEncoding('utf8')
      .on('data', (body: string) => response.end(`${request.headers.authorization} ${body}`));
  });
  const line = String(command?.command).replace('https://id.example', await listening(server));
  const env = { ...process.env, CLIENT_ID: 'me', CLIENT_SECRET: 'secret' };
  const { stdout } = await promisify(execFile)('sh', ['-c', line], { env });
  expect(stdout).toBe(`Basic ${btoa('me:secret')} grant_type=client_credentials`);
});

test('the list of what to set before the internet names options and flags that exist', () => {
  const list =
    /^## Before the internet$[^]*?(?=^## )/m.exec(readFileSync(join(root, LIST), 'utf8'))?.[0] ??
    '';
  const flags = [...list.matchAll(/`[^`]*?--([a-z][\w-]*)/g)].map(([, flag = '']) => flag);
  const known = new Set(['max-old-space-size', 'timeout', ...[...ALL_FLAGS.keys()].map(flagName)]);
  expect(flags.length).toBeGreaterThan(3);
  expect(flags.filter((flag) => !known.has(flag))).toEqual([]);
  const [, limits = ''] = /`limits: (\{.*?\})`/.exec(list) ?? [];
  const perUser = JSON.parse(limits.replaceAll(/(\w+):/g, '"$1":')) as object;
  expect(() => resolveOptions({ limits: perUser, allowedHosts: ['mcp.example'] })).not.toThrow();
});
