import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { join } from 'node:path';
import { describe, test } from 'vitest';

const vitest = join(import.meta.dirname, '../../node_modules/vitest/vitest.mjs');

async function runLeaving(
  what: string,
): Promise<{ code: number | null; output: string; lastLine: string | undefined }> {
  const child = spawn(process.execPath, [vitest, 'run', '--no-color'], {
    cwd: join(import.meta.dirname, 'leaking'),
    stdio: ['ignore', 'pipe', 'pipe'],
    // The totals of the inner run are printed, also where those of this run go to a file.
    env: { ...process.env, LEAVE_OPEN: what, SOJOURN_TOTALS: undefined },
  });
  const exited = new Promise<number | null>((done) => child.once('close', done));
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), exited]);
  return { code, output: stdout + stderr, lastLine: stdout.trimEnd().split('\n').at(-1) };
}

describe.concurrent('the leak check', { timeout: 90_000 }, () => {
  test('fails a file that leaves a server and a socket open, and names them', async ({ expect }) => {
    const { code, output, lastLine } = await runLeaving('server');
    expect(output).toMatch(/left open after the last test: 1 × TCPServerWrap, 2 × TCPSocketWrap/);
    expect(output).toMatch(/server on .*127\.0\.0\.1/);
    expect(lastLine).toBe('3 passed, 1 failed, 0 skipped');
    expect(code).toBe(1);
  });

  test('fails a file that leaves a timer running', async ({ expect }) => {
    const { code, output } = await runLeaving('timer');
    expect(output).toContain('left open after the last test: 1 × Timeout');
    expect(code).toBe(1);
  });

  test('fails a file that leaves a child process, and names it', async ({ expect }) => {
    const { code, output } = await runLeaving('child');
    expect(output).toMatch(/left open after the last test: .*1 × ProcessWrap/);
    expect(output).toMatch(/child process \d+: .*stdin\.resume/);
    expect(code).toBe(1);
  });

  test('passes a file that closes what it opened', async ({ expect }) => {
    const { code, lastLine } = await runLeaving('nothing');
    expect(lastLine).toBe('3 passed, 0 failed, 0 skipped');
    expect(code).toBe(0);
  });
});
