// @module-tag matrix
/** `sojourn demo` from the build, without a terminal: a script presses the keys. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { until } from '../kit/until.ts';
import { runProcess, startCli } from './cli-process.ts';

const LONG = { timeout: 240_000 };

/** A folder for the temporary files of one demo, and what is in it. */
function ownTemp() {
  const folder = mkdtempSync(join(tmpdir(), 'demo-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return { env: { TMPDIR: folder }, folder, left: () => readdirSync(folder) };
}

/** The processes whose arguments or folder name this demo's temporary folder, and so every process with its store. */
function processesOf(folder: string): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.filter((pid) => argumentsOf(pid).includes(folder)).map(Number);
}

function argumentsOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8') + readFileSync(`/proc/${pid}/environ`, 'utf8');
  } catch {
    return '';
  }
}

/** A row of the table at the end: the two numbers. */
function totalsOf(output: string, row: string): number[] {
  const [, ours, theirs] = new RegExp(`^ +${row} +([\\d,]+) +([\\d,]+)`, 'm').exec(output) ?? [];
  return [ours, theirs].map((text) => Number(text?.replaceAll(',', '')));
}

test('20 kills at random fail no call on sojourn, and end sessions on the other side', LONG, async () => {
  const { env, left } = ownTemp();
  const { code, stdout, stderr } = await runProcess(['demo', '--seed', '7', '--script', `${'x'.repeat(20)}..`], {
    env,
  });
  expect(stderr).toBe('');
  expect(stdout.match(/ was killed \(pid \d+\)$/gm)).toHaveLength(20);
  expect(totalsOf(stdout, 'calls lost')).toEqual([0, expect.toSatisfy((lost: number) => lost > 0)]);
  expect(totalsOf(stdout, 'sessions lost')).toEqual([0, 4]);
  expect(totalsOf(stdout, 'calls answered')[0]).toBeGreaterThan(100);
  expect(stdout).toContain('continue');
  expect(code).toBe(0);
  expect(left()).toEqual([]);
});

test('freeze, drain, restart and a store that is away fail no call, and the cast has the frames', LONG, async () => {
  const { env, folder } = ownTemp();
  const cast = join(folder, 'demo.cast');
  const args = ['demo', '--cast', cast, '--script', '2f....f..1d..r..s.......q'];
  const { code, stdout } = await runProcess(args, { env });
  for (const text of ['two is frozen', 'two runs again', 'one has drained in', 'one joins', 'the store answers again'])
    expect(stdout).toContain(text);
  expect(totalsOf(stdout, 'calls lost')[0]).toBe(0);
  expect(code).toBe(0);
  const [head = '', ...events] = readFileSync(cast, 'utf8').trimEnd().split('\n');
  expect(JSON.parse(head)).toMatchObject({ version: 2, width: 100, height: 30 });
  const written = events.map((line) => (JSON.parse(line) as [number, string, string])[2]).join('');
  expect(written).toContain('The store has not answered for');
  expect(written.endsWith('\u001b[?25h\u001b[?1049l')).toBe(true);
});

test.each(['SIGTERM', 'SIGINT', 'SIGKILL'] as const)('%s leaves no process and no file', LONG, async (signal) => {
  const { env, folder, left } = ownTemp();
  // One instance is frozen then: it cannot end by itself.
  const demo = startCli(['demo', '--script', `.3f${'.'.repeat(60)}`], { env });
  await until(() => demo.output.stdout.includes('is frozen'), { timeoutMs: 60_000, what: 'the freeze' });
  expect(left()).toHaveLength(1);
  if (existsSync('/proc')) expect(processesOf(folder).length).toBeGreaterThanOrEqual(8);
  demo.kill(signal);
  const { code } = await demo.ended();
  expect(code).toBe(signal === 'SIGKILL' ? null : 0);
  await until(() => left().length === 0, { timeoutMs: 20_000, what: 'the folder to be removed' });
  if (existsSync('/proc'))
    await until(() => processesOf(folder).length === 0, { timeoutMs: 20_000, what: 'the processes to end' });
});

test('a key that does not exist and a seed that is no number are named', async () => {
  const wrong = await runProcess(['demo', '--script', '1kz']);
  expect(wrong).toMatchObject({ code: 2, stdout: '' });
  expect(wrong.stderr).toContain('--script: there is no key "z"');
  const seed = await runProcess(['demo', '--seed', 'abc']);
  expect(seed).toMatchObject({ code: 2, stderr: expect.stringContaining('--seed takes a whole number') });
});
