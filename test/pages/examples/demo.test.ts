/** `sojourn-demo` from the checkout, without a terminal: a script presses the keys. */
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { startNode } from '../../kit/child-process.ts';
import { temporaryFolder } from '../../kit/temporary.ts';
import { until } from '../../kit/until.ts';

const DEMO = resolve(import.meta.dirname, '../../../packages/demo/main.mjs');
const LONG = { timeout: 180_000 };

function start(...args: string[]) {
  const temp = temporaryFolder();
  const { child, closed, output } = startNode([DEMO, ...args], {
    env: { ...process.env, TMPDIR: temp },
  });
  return { child, closed, temp, output: () => output.stdout + output.stderr };
}

/** A row of the table at the end: the two numbers. */
function totalsOf(output: string, row: string): number[] {
  const [, ours, theirs] = new RegExp(`^ +${row} +(\\d+) +(\\d+)$`, 'm').exec(output) ?? [];
  return [Number(ours), Number(theirs)];
}

/** The processes whose arguments or environment name the temporary folder. */
function processesOf(temp: string): string[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.filter((pid) => {
    try {
      const of = (file: string): string => readFileSync(`/proc/${pid}/${file}`, 'utf8');
      return (of('cmdline') + of('environ')).includes(temp) && !/^State:\s+Z/m.test(of('status'));
    } catch {
      return false;
    }
  });
}

test(
  'kills, a drain, a freeze and a store that is away fail no call on sojourn, and end sessions beside it',
  LONG,
  async () => {
    const { closed, temp, output } = start('--script', '..k.sr......d..r..f...f..q');
    const [code] = await closed;
    for (const text of [
      'one was killed',
      'has drained',
      'is frozen',
      'runs again',
      'the store answers again',
    ])
      expect(output()).toContain(text);
    expect(output()).toMatch(/ s {2}sojourn +[A-D](?:, [A-D])* continues? at (?:two|three)\b/);
    expect([code, totalsOf(output(), 'calls lost')[0]], output()).toEqual([0, 0]);
    const [ours, theirs] = totalsOf(output(), 'sessions lost');
    expect([ours, (theirs ?? 0) > 0]).toEqual([0, true]);
    expect(totalsOf(output(), 'calls answered')[0]).toBeGreaterThan(20);
    expect(readdirSync(temp)).toEqual([]);
  },
);

test.runIf(process.platform === 'linux')(
  'SIGKILL of the demo leaves no process',
  LONG,
  async () => {
    const { child, temp, output } = start('--script', `.d${'.'.repeat(60)}`);
    await until(() => output().includes('drains'), { timeoutMs: 60_000, what: 'the drain' });
    expect(processesOf(temp).length).toBeGreaterThanOrEqual(6);
    child.kill('SIGKILL');
    await until(() => processesOf(temp).length === 0, { what: 'the end of all processes' });
  },
);

test.each([
  [['--script', '..z'], 2, /there is no key "z"\nUsage: sojourn-demo .*\nk kill /],
  [['--bogus'], 2, /^sojourn-demo: Unknown option '--bogus'.*\nUsage:/],
  [['--help'], 0, /^Usage: sojourn-demo /],
])('%j prints which keys there are', async (args, code, said) => {
  const { closed, output } = start(...args);
  expect(await closed).toEqual([code, null]);
  expect(output()).toMatch(said);
});
