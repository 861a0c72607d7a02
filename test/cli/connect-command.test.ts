/** The line of the banner that a reader copies into a shell: in a terminal alone. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { banner, clientNameOf } from '../../src/cli/banner.ts';
import type { McpEndpointOptions } from '../../src/index.ts';
import { resolveOptions } from '../../src/options/resolve.ts';
import { startNode } from '../kit/child-process.ts';
import { dist, program, startCli } from './cli-process.ts';

/** Of util-linux: a terminal for a command. */
const SCRIPT = '/usr/bin/script';

interface Case {
  name?: string | undefined;
  url?: string;
  options?: McpEndpointOptions;
}

function lineOf({ name = 'counter', url = 'http://127.0.0.1:3000/mcp', options = {} }: Case): string | undefined {
  const text = banner({
    version: '0.0.0',
    url,
    address: '127.0.0.1',
    options: resolveOptions(options),
    allowAnyone: true,
    clientName: name,
  });
  return /^ {2}connect +(.*)$/m.exec(text)?.[1];
}

/** The words that a shell makes of a command. */
const wordsOf = (command: string): string[] =>
  execFileSync('sh', ['-c', `claude() { printf '%s\\n' "$@"; }; ${command}`], { encoding: 'utf8' })
    .trim()
    .split('\n');

describe('the command for a client', () => {
  test.each([
    ['a server', { server: { _serverInfo: { name: 'My Server; rm -rf ~' } } }, 'My-Server-rm-rf'],
    ['a low-level server', { _serverInfo: { name: '$(id)' } }, 'id'],
    ['a name without a letter', { _serverInfo: { name: '–!' } }, 'mcp-server'],
    ['a factory', () => undefined, 'mcp-server'],
    ['another object', { connect: 1 }, 'mcp-server'],
  ])('names %s', (_, given, name) => {
    expect(clientNameOf(given, './src/mcp server.ts')).toBe(name);
  });

  test('a shell takes it as it is meant, whatever path the endpoint has', () => {
    for (const url of ['http://[::1]:3000/mcp', "http://127.0.0.1:3000/a&b$(id)%27'x", 'http://127.0.0.1:3000/mcp']) {
      const words = wordsOf(String(lineOf({ url })));
      expect(words).toEqual(['mcp', 'add', '--transport', 'http', 'counter', url.replaceAll("'", '%27')]);
    }
    expect(lineOf({ url: 'http://[::1]:3000/mcp' })).toContain(" 'http://[::1]:3000/mcp'");
  });

  test('has a token where the module verifies tokens, and is not there behind a proxy', () => {
    const verify = lineOf({ options: { auth: { verify: async () => undefined } } });
    expect(wordsOf(`MCP_TOKEN=x; ${verify}`).slice(-2)).toEqual(['--header', 'Authorization: Bearer x']);
    const trustedProxyUser = { header: 'X-User', from: ['127.0.0.1'] };
    expect(lineOf({ options: { auth: { trustedProxyUser } } })).toBeUndefined();
  });

  test.skipIf(!existsSync(SCRIPT))(
    'is in the banner of a terminal, with a token for the dashboard, and in no other',
    async () => {
      const node = `exec ${process.execPath} ${join(dist, 'cli/main.js')} serve ${program('one-server.mjs')} --port 0 --dashboard`;
      const { output, says } = startNode(['-qec', node, '/dev/null'], { program: SCRIPT });
      await says(/Stop with Ctrl\+C/);
      const shown = output.stdout.replaceAll('\r', '');
      const url = /^ {2}endpoint +(\S+)$/m.exec(shown)?.[1];
      expect(shown).toMatch(/^ {2}dashboard http:\/\/127\.0\.0\.1:\d+\/dashboard\/#token=[\w-]{32}$/m);
      expect(shown).toContain(`  connect   claude mcp add --transport http one ${url}\n`);

      const cli = startCli(['serve', program('one-server.mjs'), '--port', '0']);
      await cli.says(/Stop with/);
      expect(cli.output.stdout).not.toContain('claude');
    },
  );
});
