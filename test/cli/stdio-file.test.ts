/** A file of several programs, of which one does not start. */
import { unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { textOf } from '../kit/lab.ts';
import { openClient } from '../kit/listening.ts';
import { callModern } from '../kit/modern.ts';
import { temporaryFolder } from '../kit/temporary.ts';
import { SCRIPTED } from '../stdio/serving.ts';
import { runProcess, startCli } from './cli-process.ts';

const scripted = { command: process.execPath, args: [SCRIPTED] };
const COUNT = { name: 'count', arguments: {} };

function setUp() {
  const cwd = temporaryFolder();
  const broken = join(cwd, 'broken');
  writeFileSync(broken, '');
  const script = `test -e ${broken} && { echo sign in first >&2; exit 3; }; exec "$@"`;
  const signedOut = { command: '/bin/sh', args: ['-c', script, 'sh', process.execPath, SCRIPTED] };
  const args = (mcpServers: object): string[] => {
    const file = join(cwd, 'servers.json');
    writeFileSync(file, JSON.stringify({ mcpServers }));
    return ['stdio', file, '--port', '0', '--store', 'memory:'];
  };
  return { cwd, broken, signedOut, args };
}

test('the others are served, its line names it, and calls to it try again', async () => {
  const { cwd, broken, signedOut, args } = setUp();
  const hangs = { command: 'sleep', args: ['1000'] };
  const programs = args({ works: scripted, later: signedOut, hangs });
  const cli = startCli([...programs, '--child-start-ms', '2s'], { cwd });
  const url = new URL(await cli.url());
  const of = (name: string) => openClient(`${url.origin}/${name}/mcp`);
  expect(cli.output.stdout).toContain(
    `${url.origin}/works/mcp\n            ${url.origin}/later/mcp`,
  );
  expect(cli.output.stderr).toMatch(/later.*exit code 3.*sign in first/);
  expect(cli.output.stderr).toMatch(/hangs.*still starts/);
  const works = of('works');
  await works.initialize();
  expect(textOf((await works.call('tools/call', COUNT)).message)).toBe('1');
  const refused = { code: -32_603, message: expect.stringContaining('sh ended: exit code 3') };
  expect((await of('later').initialize()).message.error).toMatchObject(refused);
  expect((await callModern(of('later'), 'tools/call', COUNT)).message.error).toMatchObject(refused);
  expect(cli.output.stderr).toMatch(/"program":"later".*"wrote":"sign in first".*did not start/);
  unlinkSync(broken);
  const later = of('later');
  await later.initialize();
  expect(textOf((await later.call('tools/call', COUNT)).message)).toBe('1');
  cli.kill('SIGTERM');
  expect((await cli.ended()).code).toBe(0);
});

test('where none starts, it ends with exit code 1 and says what each wrote', async () => {
  const { cwd, signedOut, args } = setUp();
  const { code, stderr } = await runProcess(
    args({ one: signedOut, two: { command: 'no-such-command' } }),
    { cwd },
  );
  expect(code).toBe(1);
  expect(stderr).toContain('one: sh ended: exit code 3\nsign in first\n');
  expect(stderr).toMatch(/two: .*command not found/);
});
