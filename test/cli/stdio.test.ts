/** Which programs `sojourn stdio` serves, and with which options. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ServeSettings } from '../../src/cli/settings.ts';
import type { StdioRequest } from '../../src/cli/stdio.ts';
import { temporaryFolder } from '../kit/temporary.ts';
import { runHere } from './here.ts';

async function run(args: readonly string[], env: Record<string, string> = {}) {
  const asked: { request: StdioRequest; settings: ServeSettings }[] = [];
  const stdio = async (request: StdioRequest, settings: ServeSettings): Promise<number> => {
    asked.push({ request, settings });
    return 0;
  };
  const ran = await runHere(['stdio', ...args], { env, stdio });
  return { ...ran, ...asked[0] };
}

const COMMAND = ['--', 'npx', '-y', 'mcp-server', '--flag'];

test('a command with flags and variables', async () => {
  const flags =
    '--max-children 3 --child-idle-timeout-ms 5m --child-memory 512m --one-child --child-era legacy';
  const lists = [
    '--env',
    'A=1,2=3',
    '--env',
    'B=',
    '--user-env',
    'WHO=user',
    '--tools',
    'a,b',
    '--port',
    '0',
  ];
  const { code, request, settings } = await run([...flags.split(' '), ...lists, ...COMMAND], {
    SOJOURN_TOOLS_ONCE: 'pay:order',
  });
  expect(code).toBe(0);
  expect(request?.name).toBe('mcp-server');
  expect(request?.programs.get('')).toMatchObject({
    command: 'npx',
    args: ['-y', 'mcp-server', '--flag'],
    maxChildren: 3,
    childIdleTimeoutMs: 300_000,
    childMemoryBytes: 536_870_912,
    oneChild: true,
    era: 'legacy',
    env: { A: '1,2=3', B: '' },
    userEnv: { WHO: 'user' },
    tools: ['a', 'b'],
    toolsOnce: ['pay:order'],
  });
  expect(settings).toMatchObject({
    port: 0,
    workers: 1,
    storeUrl: expect.stringMatching(/^sqlite:.sojourn\/mcp-server-/),
  });
  expect(settings?.dashboard).toBeDefined();
});

test('a store of its own, no workers with memory, no dashboard where other machines reach it', async () => {
  const { settings } = await run(['--store', 'memory:', '--host', '0.0.0.0', ...COMMAND]);
  expect(settings).toMatchObject({ storeUrl: 'memory:', workers: 0, dashboard: undefined });
});

describe('a file', () => {
  const file = (content: unknown): string => {
    const path = join(temporaryFolder(), 'servers.json');
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
    return path;
  };
  const entry = { command: 'node', args: ['a.js'], env: { A: '1' }, cwd: '/tmp' };

  test('has programs by name, with the flags for all', async () => {
    const { request } = await run([
      file({
        mcpServers: { one: entry, 'a b': { command: 'x' }, far: { url: 'https://a.example' } },
      }),
      '--env',
      'B=2',
    ]);
    expect([...(request?.programs ?? [])]).toMatchObject([
      ['one', { command: 'node', args: ['a.js'], cwd: '/tmp', env: { A: '1', B: '2' } }],
      ['a-b', { command: 'x', args: [], env: { B: '2' } }],
    ]);
    expect(request?.warnings).toEqual([
      expect.stringContaining('far is not served: it has no command'),
    ]);
  });

  test('has variables in its commands, arguments, environments and folders, and nothing else that is expanded', async () => {
    const program = {
      command: '${BIN:-node}',
      args: ['${ONE}', '${env:TWO}/x', '${ONE:-no}${NONE:-}', '$ONE', '${1}', '$(ONE)', '${ONE:x}'],
      env: { A: '${ONE}', '${ONE}': 'b' },
      cwd: '/${TWO}',
    };
    const path = file(
      `\uFEFF${JSON.stringify({ mcpServers: { one: program, two: { ...entry, env: { K: '${KEY}' } } } })}`,
    );
    const { request, settings } = await run([path], { ONE: '1', TWO: '2' });
    expect([...(request?.programs ?? [])]).toMatchObject([
      [
        'one',
        {
          command: 'node',
          args: ['1', '2/x', '1', '$ONE', '${1}', '$(ONE)', '${ONE:x}'],
          env: { A: '1', '${ONE}': 'b' },
          cwd: '/2',
        },
      ],
    ]);
    expect(request?.warnings).toEqual([`${path}: two is not served: its variable KEY is not set`]);
    // A secret that changes is another file of sessions otherwise, and its digest would be in a name.
    const other = await run([path], { ONE: '3', TWO: '4', KEY: 'secret' });
    expect(other.request?.programs.size).toBe(2);
    expect(other.settings?.storeUrl).toBe(settings?.storeUrl);
  });

  test('skips what is disabled, and what VS Code would ask for', async () => {
    const mcpServers = {
      one: entry,
      off: { ...entry, disabled: true },
      asks: { ...entry, env: { K: '${input:key}' } },
    };
    const path = file({ inputs: [{ id: 'key' }], mcpServers });
    const { request } = await run([path]);
    expect([...(request?.programs.keys() ?? [])]).toEqual(['one']);
    expect(request?.warnings).toEqual([
      `${path}: off is not served: it is disabled`,
      `${path}: asks is not served: VS Code asks for its input key; name a variable, as in \${NAME}`,
    ]);
  });

  test.each([
    ['{', 'has no JSON with mcpServers'],
    [{ servers: { one: entry } }, 'has the servers of VS Code: name them mcpServers'],
    [{ mcpServers: { one: { command: '${BIN}' } } }, 'one is not served: its variable BIN'],
    [{ mcpServers: {} }, 'has no server with a command'],
    [{ mcpServers: { dashboard: entry } }, 'the path /dashboard is taken'],
    [{ mcpServers: { 'a b': entry, 'a-b': entry } }, 'the path /a-b is taken'],
    [{ mcpServers: { one: { ...entry, args: [1] } } }, 'args of one must be a list of texts'],
  ])('%j is refused', async (content, why) => {
    const { code, stderr } = await run([file(content)]);
    expect([code, stderr]).toEqual([2, expect.stringContaining(why)]);
  });
});

test.each([
  [[], 'name a file with mcpServers, or a command'],
  [['a.json', ...COMMAND], 'name a file with mcpServers, or a command'],
  [['no-such.json'], 'cannot be read'],
  [['--env', 'x', ...COMMAND], '--env takes NAME=value'],
  [['--child-memory', '-1', ...COMMAND], '--child-memory: got'],
  [['--max-children', '0', ...COMMAND], '--max-children'],
])('%j is refused', async (args, why) => {
  const { code, stderr } = await run(args);
  expect([code, stderr]).toEqual([2, expect.stringContaining(why)]);
});

test.each([
  ['npx -y @playwright/mcp@latest', 'playwright-mcp'],
  ['npx -y @modelcontextprotocol/server-everything@1.2.3', 'server-everything'],
  ['mcp-server-git --repository x', 'mcp-server-git'],
  ['uvx mcp-server-git --repository x', 'mcp-server-git'],
  ['/usr/bin/python3 -m mcp_server_time', 'mcp_server_time'],
  ['uv run weather.py', 'weather'],
  ['node build/index.js', 'build-index'],
  ['./program', 'program'],
  ['npx -y', 'npx'],
])('%s has a store of the name %s', async (command, name) => {
  const { settings } = await run(['--', ...command.split(' ')]);
  expect(settings?.storeUrl).toMatch(new RegExp(`^sqlite:.sojourn/${name}-[\\da-f]{8}.db$`));
});
