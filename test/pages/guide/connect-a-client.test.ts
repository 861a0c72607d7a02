/**
 * The blocks of the page on clients. The file of a host is parsed as the host parses it, and what it names (URL,
 * headers) reaches a real endpoint, with and without a token. curl runs. `test/pages/first-minutes/clients.test.ts` runs
 * mcp-remote and the Inspector.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { McpServer } from '@modelcontextprotocol/server';
import { parse as parseToml } from 'smol-toml';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createMcpEndpoint, type McpEndpoint } from '../../../src/index.ts';
import { connectV2 } from '../../clients/official.ts';
import { type Block, blocksOf, commandsOf } from '../../kit/pages.ts';

const PAGE = 'docs/guide/connect-a-client.md';
const TOKEN = 'my-token';
const WRITTEN = 'http://127.0.0.1:3000/mcp';

/** What a host sends, and where. */
interface Target {
  url: string;
  headers: Record<string, string>;
}

const [open, guarded] = [undefined, true].map((isGuarded) => {
  const server = new McpServer({ name: 'counter', version: '1.0.0' });
  server.registerTool('count', {}, () => ({ content: [{ type: 'text', text: 'call 1' }] }));
  const info = {
    token: TOKEN,
    clientId: 'key',
    scopes: [],
    expiresAt: Infinity,
    extra: { sub: 'ann' },
  };
  const verify = async (token: string) => (token === TOKEN ? info : undefined);
  return createMcpEndpoint(server, { logger: false, ...(isGuarded && { auth: { verify } }) });
}) as [McpEndpoint, McpEndpoint];

const urls = { open: '', guarded: '' };
beforeAll(async () => {
  urls.open = (await open.listen({ port: 0 })).url;
  urls.guarded = (await guarded.listen({ port: 0 })).url;
});
afterAll(async () => {
  await open.close();
  await guarded.close();
});

const blockOf = (heading: string, n = 0): string => String(blocksOf(PAGE, heading)[n]?.text);

/** The words that a shell gives the program `name`. */
async function wordsOf(command: string, name: string): Promise<string[]> {
  const script = `${name}() { for word; do printf '%s\\n' "$word"; done; }; ${command}`;
  const { stdout } = await promisify(execFile)('sh', ['-c', script], {
    env: { ...process.env, MCP_TOKEN: TOKEN },
  });
  return stdout.trimEnd().split('\n');
}

/** The words of a command line: its one URL, and what follows each `--header`. */
function targetOf(words: readonly string[]): Target {
  const found = words.filter((word) => URL.canParse(word) && word.startsWith('http'));
  expect(found).toHaveLength(1);
  const headers = words
    .filter((_, n) => words[n - 1] === '--header')
    .map((header) => header.split(/: ?(.*)/));
  return { url: String(found[0]), headers: Object.fromEntries(headers) as Record<string, string> };
}

async function reaches({ url, headers }: Target): Promise<void> {
  expect(url).toBe(WRITTEN);
  expect(headers).toEqual({ Authorization: `Bearer ${TOKEN}` });
  const tries = [
    { at: urls.guarded, headers },
    { at: urls.open, headers: {} },
  ];
  for (const { at, headers: sent } of tries) {
    const { say } = await connectV2(at, { headers: sent });
    expect(await say('count')).toBe('call 1');
  }
}

/** Hosts that take a JSON file: where the page has it, what lists its servers, how it writes a token, what else it has. */
const FILES = [
  {
    host: 'Claude Code',
    block: 1,
    servers: 'mcpServers',
    variable: '${MCP_TOKEN}',
    rest: { type: 'http' },
  },
  { host: 'Cursor', block: 0, servers: 'mcpServers', variable: '${env:MCP_TOKEN}', rest: {} },
  {
    host: 'VS Code',
    block: 0,
    servers: 'servers',
    variable: '${input:mcp-token}',
    rest: { type: 'http' },
  },
];

describe('the page on clients', () => {
  test('Claude Code takes the command lines', async () => {
    const [plain, withToken] = commandsOf(blocksOf(PAGE, 'Claude Code')[0] as Block).map(
      ({ command }) => command,
    );
    const words = ['mcp', 'add', '--transport', 'http', 'counter', WRITTEN];
    expect(await wordsOf(String(plain), 'claude')).toEqual(words);
    const all = await wordsOf(String(withToken), 'claude');
    expect(all.slice(0, words.length)).toEqual(words);
    await reaches(targetOf(all));
  });

  test.each(FILES)('$host takes the file', async ({ host, block, servers, variable, rest }) => {
    const file = JSON.parse(blockOf(host, block).replaceAll(variable, TOKEN)) as Record<
      string,
      object
    >;
    const { url, headers, ...more } = (file[servers] as { counter: Target }).counter;
    expect([Object.keys(file[servers] ?? {}), more]).toEqual([['counter'], rest]);
    await reaches({ url, headers });
  });

  test('VS Code asks for the token', () => {
    const { inputs } = JSON.parse(blockOf('VS Code')) as { inputs: object[] };
    expect(inputs).toEqual([
      expect.objectContaining({ type: 'promptString', id: 'mcp-token', password: true }),
    ]);
  });

  test('Codex takes the table, and reads the token from its variable', async () => {
    const file = parseToml(blockOf('Codex')) as {
      mcp_servers: { counter: Record<string, string> };
    };
    expect(Object.keys(file)).toEqual(['mcp_servers']);
    const { url, bearer_token_env_var, ...more } = file.mcp_servers.counter;
    expect(more).toEqual({});
    expect(bearer_token_env_var).toBe('MCP_TOKEN');
    await reaches({ url: String(url), headers: { Authorization: `Bearer ${TOKEN}` } });
  });

  test('Claude Desktop starts mcp-remote with the header from its environment', async () => {
    const file = JSON.parse(blockOf('Claude Desktop')) as {
      mcpServers: { counter: { command: string; args: string[]; env: Record<string, string> } };
    };
    const { command, args, env } = file.mcpServers.counter;
    expect([command, ...args.slice(0, 2)]).toEqual(['npx', '-y', 'mcp-remote']);
    await reaches(
      targetOf(
        args.map((arg) => arg.replace(/\$\{(\w+)\}/g, (_, name: string) => String(env[name]))),
      ),
    );
  });

  test.each([
    ['mcp-remote', ['-y', 'mcp-remote']],
    ['Inspector', ['-y', '@modelcontextprotocol/inspector', '--cli']],
  ])('%s takes the command line', async (heading, first) => {
    const command = String(commandsOf(blocksOf(PAGE, heading)[0] as Block)[0]?.command);
    const words = await wordsOf(command, 'npx');
    expect(words.slice(0, first.length)).toEqual(first);
    await reaches(targetOf(words));
  });

  test('curl prints the tools', async () => {
    const command = String(commandsOf(blocksOf(PAGE, 'curl')[0] as Block)[0]?.command);
    const run = async (line: string, url: string): Promise<unknown> => {
      const env = { ...process.env, MCP_TOKEN: TOKEN };
      const { stdout } = await promisify(execFile)('sh', ['-c', line.replace(WRITTEN, url)], {
        env,
      });
      return JSON.parse(stdout);
    };
    const listed = { result: { tools: [{ name: 'count' }] } };
    expect(await run(command, urls.guarded)).toMatchObject(listed);
    const bare = command.replace(/-H "Authorization[^"]*" /, '');
    expect(bare).not.toContain('MCP_TOKEN');
    expect(await run(bare, urls.open)).toMatchObject(listed);
    expect(await run(bare, urls.guarded)).toEqual({
      error_description: 'Missing Authorization header',
    });
  });
});
