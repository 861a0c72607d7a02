/** `sojourn check` on modules that work, and on modules with the mistakes that people make. */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test, vi } from 'vitest';
import { runProcess } from './cli-process.ts';
import { runHere } from './here.ts';
import { temporaryFolder } from '../kit/temporary.ts';

const modules = fileURLToPath(new URL('../../node_modules', import.meta.url));
const HEAD = `import { McpServer } from '${modules}/@modelcontextprotocol/server/dist/index.mjs';
const tool = (server, name) => server.registerTool(name, {}, () => ({ content: [] }));
`;

interface Report {
  readonly seen: ReadonlyArray<{
    readonly client: string;
    readonly problem?: string;
    readonly found?: { readonly server: string; readonly lists: object };
  }>;
  readonly warnings: readonly string[];
  readonly leftOut: readonly string[];
}

async function check(source: string, ...args: string[]) {
  const folder = temporaryFolder();
  const file = join(folder, 'server.mjs');
  writeFileSync(file, HEAD + source);
  // The arguments of the module are those of a process.
  const run = (...flags: string[]) =>
    args.length > 0
      ? runProcess(['check', file, ...flags, ...args], { cwd: folder, env: { TMPDIR: folder } })
      : runHere(['check', file, ...flags]);
  const { code, stdout, stderr } = await run('--json');
  return {
    code,
    stderr,
    text: async () => (await run()).stdout,
    report: stdout === '' ? undefined : (JSON.parse(stdout) as Report),
    left: readdirSync(folder),
  };
}

test('a file of keys is read, and refused as `serve` refuses it', async () => {
  const folder = temporaryFolder();
  const file = (name: string, content: string): string => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  const module = file(
    'server.mjs',
    `${HEAD}const server = new McpServer({ name: 'a', version: '1' });
    tool(server, 'greet');
    export default server;`,
  );
  const keys = (content: string) => ['--auth-keys', file('keys.txt', content)];
  const good = await runHere(['check', module, ...keys(`ann ${'a'.repeat(64)}`)]);
  expect([good.code, good.stderr]).toEqual([0, '']);
  const bad = await runHere(['check', module, ...keys('ann')]);
  expect([bad.code, bad.stderr]).toEqual([2, expect.stringContaining('keys.txt, line 1')]);
});

test('a server that works: every client, the session after a restart, its lists, and no file is left', async () => {
  const { code, report, text, left } = await check(
    `
    const server = new McpServer({ name: 'good', version: '1.2.3' });
    tool(server, 'greet');
    server.registerResource('a', 'file:///a', {}, () => ({ contents: [] }));
    export default server;`,
    '--',
    'in a process',
  );
  const lists = { tools: ['greet'], resources: ['file:///a'], resourceTemplates: [] };
  expect({ code, report }).toEqual({
    code: 0,
    report: {
      seen: [
        { client: '2025', found: { server: 'good 1.2.3', version: '2025-11-25', lists } },
        {
          client: 'after a restart',
          found: { server: 'good 1.2.3', version: '2025-11-25', lists },
        },
        { client: '2026-07-28', found: { server: 'good 1.2.3', version: '2026-07-28', lists } },
      ],
      warnings: [],
      leftOut: [],
    },
  });
  expect(await text()).toMatch(
    /^ {2}2025 client +connects, and lists tools \(1\), resources \(1\)\n[^]*No problem found\.\n$/m,
  );
  expect(left).toEqual(['server.mjs']);
});

test('a server of SDK 1 serves the revisions with sessions, which is no problem, unless it should serve no others', async () => {
  const source = (options: object) => `
    import { McpServer as Older } from '${modules}/@modelcontextprotocol/sdk/dist/esm/server/mcp.js';
    const factory = () => { const server = new Older({ name: 'older', version: '1' }); server.tool('a', () => ({ content: [] })); return server; };
    export default { factory, options: ${JSON.stringify(options)} };`;
  const { code, report } = await check(source({}));
  expect([code, report?.seen.map(({ client }) => client)]).toEqual([
    0,
    ['2025', 'after a restart'],
  ]);
  const modern = await check(source({ supportedProtocolVersions: ['2026-07-28'] }));
  expect([modern.code, modern.report?.seen.map(({ client }) => client)]).toEqual([
    1,
    ['2025', '2026-07-28'],
  ]);
});

test('a list that a session loses in a restart is named', async () => {
  const { code, report } = await check(`
    let made = 0;
    export default () => {
      const server = new McpServer({ name: 'forgets', version: '1' });
      tool(server, 'kept');
      if (made++ === 0) tool(server, 'lost');
      return server;
    };`);
  expect(code).toBe(1);
  expect(report?.seen[1]).toMatchObject({
    client: 'after a restart',
    problem: 'the session lacks lost: make the lists in the factory, from session.state',
  });
});

test('a factory that throws fails each client, and the log says why', async () => {
  const { code, report } = await check(`export default () => { throw new Error('no database'); };`);
  expect(code).toBe(1);
  expect(report?.seen.map(({ client, problem }) => [client, problem !== undefined])).toEqual([
    ['2025', true],
    ['2026-07-28', true],
  ]);
  expect(report?.warnings.join('\n')).toContain('no database');
});

test('a factory that never returns is a problem after 30 s', async () => {
  const soon = setTimeout;
  const faster = (fn: () => void, ms?: number) => soon(fn, ms === 30_000 ? 50 : ms);
  vi.spyOn(globalThis, 'setTimeout').mockImplementation(faster);
  onTestFinished(() => void vi.restoreAllMocks());
  const { code, report } = await check('export default () => new Promise(() => {});');
  expect(code).toBe(1);
  expect(report?.seen.map(({ problem }) => problem)).toEqual([
    'initialize has no answer after 30 s',
    'server/discover has no answer after 30 s',
  ]);
});

test('a module whose callers need tokens is checked without them, and says so', async () => {
  const guarded = (host: string) =>
    check(`
    const factory = () => { const server = new McpServer({ name: 'guarded', version: '1' }); tool(server, 'a'); return server; };
    // The flags of serve may say how callers are identified.
    export default { factory, options: { auth: { authorize: () => true }, allowedHosts: ['${host}'] } };`);
  const { code, report, text } = await guarded('mcp.example');
  expect({ code, leftOut: report?.leftOut }).toEqual({
    code: 0,
    leftOut: ['auth', 'allowedHosts'],
  });
  expect(await text()).toMatch(/^ {2}not checked +auth, allowedHosts of the module$/m);
  expect((await guarded('https://mcp.example')).stderr).toMatch(
    /: wrong options in .*: Option allowedHosts\[0\]: got /,
  );
});

test('a list without an end does not keep the command, and names write nothing to the terminal', async () => {
  const { code, report, text } = await check(`
    export default () => {
      const server = new McpServer({ name: 'odd\\u001b[2J', version: '1' });
      tool(server, 'a');
      server.server.setRequestHandler('tools/list', () => ({
        tools: [{ name: 'b\\u009b2J', inputSchema: { type: 'object' } }],
        nextCursor: 'again',
      }));
      return server;
    };`);
  expect(code).toBe(1);
  expect(report?.seen[0]?.problem).toBe('tools/list has more than 100 pages');
  expect(await text()).not.toMatch(/[^\P{Cc}\n]/u);
});

test('arguments of the module follow --, and a module that cannot be loaded is said as serve says it', async () => {
  const named = `export default new McpServer({ name: String(process.argv[2]), version: '1' });`;
  expect((await check(named, '--', 'mine')).report?.seen[0]?.found?.server).toBe('mine 1');
  const { code, stderr } = await check('export const other = 1;');
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /^sojourn: .*server\.mjs: the default export is missing \(it exports other\); it must be /,
  );
});

test.each([
  [
    'a server of node:http',
    `import { createServer } from 'node:http'; createServer().listen(0);`,
    [],
  ],
  [
    'an endpoint',
    `import { createMcpEndpoint } from '${modules}/../dist/index.js';
    import { sqlite } from '${modules}/../dist/stores/sqlite/index.js';
    await createMcpEndpoint(() => new McpServer({ name: 'a', version: '1' }), { store: sqlite('a.db') }).listen();`,
    ['--', 'in a process'],
  ],
])(
  'a module that starts %s is not checked, opens no port and joins nothing',
  async (_, source, args) => {
    const { code, stderr, left } = await check(`${source} export default () => {};`, ...args);
    expect([code, stderr, left]).toEqual([
      1,
      expect.stringMatching(
        /^sojourn: \S+server\.mjs: sojourn check and sojourn prove start the server themselves, .* does not listen\n$/,
      ),
      ['server.mjs'],
    ]);
  },
);

test('a folder, and a function that takes { config }, get a line each', async () => {
  expect((await runHere(['check', '.'], { cwd: temporaryFolder() })).stderr).toBe(
    'sojourn: . is a folder: name the file that exports the server, e.g. server.js\n',
  );
  for (const [source, warns] of [
    ['function createServer({ config }) {', true],
    ['async ({ a, config: { b } }) => {', true],
    ['({ config = {} }) => {', false],
    ['({ configs }) => {', false],
  ] as const) {
    const { report } = await check(
      `export default ${source} return new McpServer({ name: 'a', version: '1' }) };`,
    );
    expect([
      source,
      report?.warnings.some((line) => line.includes('a function that takes { config }')),
    ]).toEqual([source, warns]);
  }
});
