// @module-tag matrix
/**
 * Published servers as they are, behind `sojourn stdio`: official clients of both eras use them over restarts.
 * `npm run adopt -- -t TEXT`: only the servers whose name contains it.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { placeOf } from './app-folder.ts';
import {
  environmentOf,
  ownAnswer,
  ownCommand,
  type Place,
  type PublishedServer,
  SERVERS,
  StagesRun,
} from './stages.ts';

/** Those of npm that have a program on stdio in a file of their own. */
const OF_NPM = SERVERS.filter(({ edits, own }) => edits !== undefined || own !== undefined);

const sdk = '@modelcontextprotocol/sdk';
const OF_PYPI = [
  {
    package: 'mcp-server-time==2026.10.19',
    call: { name: 'get_current_time', args: { timezone: 'UTC' }, expect: 'UTC' },
  },
  {
    package: 'mcp-server-fetch==2026.10.24',
    call: {
      name: 'fetch',
      args: { url: 'http://127.0.0.1:1/' },
      expect: 'not a public address',
    },
  },
  {
    package: 'mcp-server-git==2026.10.19',
    call: { name: 'git_status', args: { repo_path: '{root}' }, expect: '{root}' },
  },
  {
    package: 'mcp-server-sqlite==2025.4.25',
    // It names any version, and does not start with the second line.
    with: ['mcp<2'],
    args: ['--db-path', '{root}/data.db'],
    call: { name: 'list_tables', expect: '"isError":false' },
  },
  {
    package: 'mcp-server-calculator==0.2.1',
    call: { name: 'calculate', args: { expression: '6*7' }, expect: '"text":"42"' },
  },
  {
    package: 'excel-mcp-server==2.2.2',
    args: ['stdio'],
    call: {
      name: 'create_workbook',
      args: { path: '{root}/a.xlsx', overwrite: true },
      expect: '"isError":false',
    },
  },
  {
    package: 'markitdown-mcp==0.0.1a8',
    call: {
      name: 'convert_to_markdown',
      args: { uri: 'file://{root}/present.txt' },
      expect: 'present',
    },
  },
  {
    package: 'arxiv-mcp-server==0.8.2',
    args: ['--storage-path', '{root}/papers'],
    call: { name: 'list_papers', expect: 'total_papers' },
  },
  {
    package: 'code-index-mcp==2.17.1',
    call: { name: 'set_project_path', args: { path: '{root}' }, expect: 'Project path set to' },
  },
];

async function run(
  server: PublishedServer,
  place: Place,
  command: readonly string[],
  expected?: string,
): Promise<string[]> {
  const names = Object.keys(environmentOf(server, place));
  const before = ['stdio', ...names.flatMap((name) => ['--inherit-env', name])];
  return new StagesRun(server, place, { before, after: command, isOnStdio: true }, expected).all();
}

/** On its own transport it is asked without roots. Here each process gets those of its client, and names them. */
const WITH_ROOTS: Readonly<Record<string, string>> = { 'server-pdf': '{root}' };

test.each(OF_NPM)('$name', { timeout: 900_000 }, async (published) => {
  const named = WITH_ROOTS[published.name];
  const server =
    named === undefined ? published : { ...published, call: { ...published.call, expect: named } };
  const place = await placeOf(server);
  const expected = server.call.expect === undefined ? await ownAnswer(server, place) : undefined;
  expect(await run(server, place, ownCommand(server, place), expected)).toEqual([]);
});

test.each(OF_PYPI)(
  '$package',
  { timeout: 900_000 },
  async ({ package: name, with: more = [], args = [], call }) => {
    const server = { name, packages: [], module: '', sdk, call } as const;
    const place = await placeOf(server);
    const venv = join(place.app, 'venv');
    await promisify(execFile)('python3', ['-m', 'venv', venv]);
    await promisify(execFile)(join(venv, 'bin/pip'), [
      'install',
      '--quiet',
      '--no-compile',
      name,
      ...more,
    ]);
    const [program = ''] = name.split('==');
    expect(await run(server, place, [join(venv, 'bin', program), ...args])).toEqual([]);
  },
);
