/** What `serve` prints once it listens: who may call, its modes, and in a terminal the line to copy into a shell. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { McpServer as OlderServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { McpServer, Server } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import { banner, clientNameOf } from '../../src/cli/banner.ts';
import { keysIn } from '../../src/cli/key-file.ts';
import { readSettings } from '../../src/cli/settings.ts';
import type { McpEndpointOptions } from '../../src/index.ts';
import { resolveOptions } from '../../src/base/options/resolve.ts';
import { startNode } from '../kit/child-process.ts';
import { temporaryFolder } from '../kit/temporary.ts';
import { dist, program, startCli } from './cli-process.ts';

/** Of util-linux: a terminal for a command. */
const SCRIPT = '/usr/bin/script';

interface Facts {
  readonly address?: string;
  readonly allowAnyone?: boolean;
  readonly url?: string;
  readonly clientName?: string;
  readonly definition?: unknown;
}

/** What `serve` prints once it listens, without a process. */
const bannerOf = (options: McpEndpointOptions = {}, facts: Facts = {}): string =>
  banner({
    url: 'http://127.0.0.1:3000/mcp',
    address: '127.0.0.1',
    allowAnyone: false,
    options: resolveOptions(options),
    ...facts,
  });

test('the banner says whose keys callers have: those of the file, or what the module accepts', () => {
  const file = join(temporaryFolder(), 'keys.txt');
  writeFileSync(file, `ann ${'a'.repeat(64)}`);
  expect(bannerOf({ auth: { verify: keysIn(file) } })).toContain(`with a key of ${file}\n`);
  expect(bannerOf({ auth: { verify: () => undefined } })).toContain(
    'token that the module accepts',
  );
});

describe('the banner', () => {
  test.each<[McpEndpointOptions, string, string]>([
    [
      { supportedProtocolVersions: ['2025-06-18'] },
      'hybrid: a session for every client',
      '2025-06-18',
    ],
    [
      { supportedProtocolVersions: ['2026-07-28'] },
      'hybrid: no sessions, 2026-07-28 has none',
      '2026-07-28',
    ],
    [
      { sessionMode: 'stateful', supportedProtocolVersions: ['2025-06-18', '2026-07-28'] },
      'stateful: a session for every client',
      '2025-06-18',
    ],
  ])('with %j its lines about sessions and versions agree', (options, sessions, versions) => {
    expect(bannerOf(options)).toContain(`  sessions  ${sessions}\n  versions  ${versions}\n`);
  });

  test('of a server of SDK 1 says that it serves sessions alone', () => {
    const definition = new OlderServer({ name: 'older', version: '1' });
    const versions = '2025-11-25, 2025-06-18, 2025-03-26, 2024-11-05, 2024-10-07';
    expect(bannerOf({}, { definition })).toContain(
      `  sessions  hybrid: a session for every client\n  versions  ${versions}\n`,
    );
  });

  test('is that which the guide shows', () => {
    const guide = readFileSync(join(dist, '../docs/guide/cli.md'), 'utf8');
    const [shown] = /^sojourn \d[^`]*?Stop with Ctrl\+C\.$/m.exec(guide) ?? [];
    expect(bannerOf().trim()).toBe(shown);
  });

  const OPEN = '0.0.0.0';
  test.each([
    [{ host: OPEN }, OPEN, true],
    [{ host: OPEN, allowedHosts: ['mcp.example', '127.0.0.1'] }, OPEN, true],
    [{ host: OPEN, allowAnyone: true }, OPEN, false],
    [{ host: '127.0.0.1' }, '127.0.0.1', false],
    [{ host: 'localhost' }, '::1', false],
  ] as const)('with %j at %s it warns of an open address: %s', (flags, address, warned) => {
    const { allowAnyone, options } = readSettings(flags, {});
    const text = bannerOf(options, { address, allowAnyone });
    expect(text.includes('WARNING')).toBe(warned);
    expect(text).toMatch(
      address === OPEN
        ? /bound to +0\.0\.0\.0:3000 \(every/
        : /bound to +(127\.0\.0\.1|\[::1\]):3000$/m,
    );
  });
});

const lineOf = (options: McpEndpointOptions = {}, url?: string): string | undefined =>
  /^ {2}connect +(.*)$/m.exec(
    bannerOf(options, { clientName: 'counter', ...(url !== undefined && { url }) }),
  )?.[1];

/** The words that a shell makes of a command. */
const wordsOf = (command: string): string[] =>
  execFileSync('sh', ['-c', `claude() { printf '%s\\n' "$@"; }; ${command}`], { encoding: 'utf8' })
    .trim()
    .split('\n');

describe('the command for a client', () => {
  test.each([
    ['a server', new McpServer({ name: 'My Server; rm -rf ~', version: '1' }), 'My-Server-rm-rf'],
    ['a low-level server', new Server({ name: '$(id)', version: '1' }), 'id'],
    ['a name without a letter', new McpServer({ name: '–!', version: '1' }), 'mcp-server'],
    ['a factory', () => undefined, 'mcp-server'],
    ['another object', { connect: 1 }, 'mcp-server'],
  ])('names %s', (_, given, name) => {
    expect(clientNameOf(given, './src/mcp server.ts')).toBe(name);
  });

  test('a shell takes it as it is meant, whatever path the endpoint has', () => {
    for (const url of [
      'http://[::1]:3000/mcp',
      "http://127.0.0.1:3000/a&b$(id)%27'x",
      'http://127.0.0.1:3000/mcp',
    ]) {
      const words = wordsOf(String(lineOf({}, url)));
      expect(words).toEqual([
        'mcp',
        'add',
        '--transport',
        'http',
        'counter',
        url.replaceAll("'", '%27'),
      ]);
    }
    expect(lineOf({}, 'http://[::1]:3000/mcp')).toContain(" 'http://[::1]:3000/mcp'");
  });

  test('has a token where the module verifies tokens, and is not there behind a proxy', () => {
    const verify = lineOf({ auth: { verify: async () => undefined } });
    expect(wordsOf(`MCP_TOKEN=x; ${verify}`).slice(-2)).toEqual([
      '--header',
      'Authorization: Bearer x',
    ]);
    const trustedProxyUser = { header: 'X-User', from: ['127.0.0.1'] };
    expect(lineOf({ auth: { trustedProxyUser } })).toBeUndefined();
  });

  test.skipIf(!existsSync(SCRIPT))(
    'is in the banner of a terminal, with a token for the dashboard, and in no other',
    async () => {
      const node = `exec ${process.execPath} ${join(dist, 'cli/main.js')} serve ${program('argv-server.mjs')} --port 0 --dashboard`;
      const { output, says } = startNode(['-qec', node, '/dev/null'], { program: SCRIPT });
      await says(/Stop with Ctrl\+C/);
      const shown = output.stdout.replaceAll('\r', '');
      const url = /^ {2}endpoint +(\S+)$/m.exec(shown)?.[1];
      expect(shown).toMatch(
        /^ {2}dashboard http:\/\/127\.0\.0\.1:\d+\/dashboard\/#token=[\w-]{32}$/m,
      );
      expect(shown).toContain(`  connect   claude mcp add --transport http argv ${url}\n`);

      const cli = startCli(['serve', program('argv-server.mjs'), '--port', '0']);
      await cli.says(/Stop with/);
      expect(cli.output.stdout).not.toContain('claude');
    },
  );
});
