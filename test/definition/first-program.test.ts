/**
 * README's first program, word for word but for the port, where the installed SDK is a version that moved something:
 * it starts, serves README's clients, and its session continues after a restart.
 */
import { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startNode } from '../kit/child-process.ts';
import { freePort } from '../kit/free-port.ts';
import { copyShaped, copyWithout } from '../kit/moved-member.ts';
import { blocksOf, nameOf } from '../kit/pages.ts';
import { until } from '../kit/until.ts';

const root = resolve(import.meta.dirname, '../..');
const PATIENCE = { timeoutMs: 20_000 };

/** The program's folder, with the changed SDK, which sojourn imports too. */
function projectOf(build: string, port: number): string {
  const folder = build.replace(/node_modules.*/, '');
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const sojourn = join(folder, 'node_modules/sojourn');
  mkdirSync(sojourn);
  cpSync(join(root, 'dist'), join(sojourn, 'dist'), { recursive: true });
  cpSync(join(root, 'package.json'), join(sojourn, 'package.json'));
  const client = '@modelcontextprotocol/client';
  symlinkSync(join(root, 'node_modules', client), join(folder, 'node_modules', client));
  const programs = blocksOf('README.md', 'From an empty folder').filter(({ language }) => language === 'js');
  const files = [...programs, ...blocksOf('README.md', 'Restart it')].map((block) => [nameOf(block), block.text]);
  for (const [name = '', text = ''] of files) writeFileSync(join(folder, name), text.replaceAll('3000', String(port)));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  return folder;
}

async function started(folder: string, file: string) {
  const server = startNode([file], { cwd: folder });
  await until(() => server.output.stdout.includes('http:') || !server.alive(), PATIENCE);
  expect(server.output).toMatchObject({ stdout: expect.stringContaining('/mcp') });
  return {
    warnings: () => server.output.stderr.split('\n').filter((line) => line.includes('warn:')),
    async stop(): Promise<void> {
      server.child.kill('SIGINT');
      await server.closed;
    },
  };
}

/** `undefined`: nothing is lost, and nothing is said. */
const COPIES: ReadonlyArray<readonly [string, () => string, RegExp | undefined]> = [
  ['has _requestHandlers elsewhere', () => copyWithout('server', '_requestHandlers'), /it has no _requestHandlers/],
  [
    'binds a method in its constructor',
    () => copyShaped('server', 'binds a method in its constructor'),
    /its constructor sets notification\(\)/,
  ],
  ['has another class above its Server', () => copyShaped('server', 'has another class above its Server'), undefined],
];

describe.each(COPIES)("README's first program with an SDK which %s", (_, copy, warned) => {
  test('starts, says once what is lost, and continues its session after a restart', async () => {
    const folder = projectOf(copy(), await freePort());
    const expected = warned === undefined ? [] : [expect.stringMatching(warned)];
    const first = await started(folder, 'server.js');
    const client = startNode(['client.js'], { cwd: folder });
    await client.closed;
    expect(client.output).toEqual({ stdout: [1, 2, 3].map((n) => `call ${n} of this session\n`).join(''), stderr: '' });
    expect(first.warnings()).toEqual(expected);
    await first.stop();

    const before = await started(folder, 'server.js');
    const enters = '(echo; while [ ! -f restarted ]; do sleep 0.1; done; echo) | node enter.js';
    const reader = startNode(['-c', enters], { cwd: folder, program: 'sh' });
    await until(() => reader.output.stdout.includes('call 1 of this session'), PATIENCE);
    await before.stop();
    const after = await started(folder, 'server.js');
    writeFileSync(join(folder, 'restarted'), '');
    await reader.closed;
    expect(reader.output.stdout).toBe('call 1 of this session\ncall 2 of this session\n');
    expect(after.warnings()).toEqual(expected);
    await after.stop();
  });
});
