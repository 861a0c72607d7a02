/** `sojourn prove`, as far as seconds show it; whole runs are in `runs.test.ts`. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { until } from '../../kit/until.ts';
import { temporaryFolder } from '../../kit/temporary.ts';
import { startCli } from '../cli-process.ts';
import { marked } from './marked.ts';

const FAULTY = join(import.meta.dirname, 'processes/faulty-server.mjs');
const TOKEN = join(import.meta.dirname, 'processes/token-server.mjs');
const TIMEOUT_MS = 60_000;

const prove = (args: readonly string[], folder = temporaryFolder()) =>
  startCli(['prove', ...args], { cwd: folder, env: { TMPDIR: folder, FAULTS: 'unhinted' } });

test.each([
  ['no server', [], /^sojourn: name a module, or a command after --/],
  ['too few seconds', [FAULTY, '--seconds', '19'], /--seconds takes a whole number, 20 to 3600/],
  [
    'arguments that are no object',
    [FAULTY, '--call', 'echo=[1]'],
    /--call takes the name of a tool and a JSON object/,
  ],
  [
    'a header without a name',
    [FAULTY, '--header', 'Bearer x'],
    /--header takes a name and a value/,
  ],
  [
    'a file as store',
    [FAULTY, '--store', 'sqlite:./mine.db'],
    /--store takes redis:\/\/ or postgres:/,
  ],
])('the command line is refused for %s', async (_, args, said) => {
  const { code, stderr } = await prove(args).ended();
  expect(stderr).toMatch(said);
  expect(code).toBe(2);
});

test(
  'a server that asks for a token is called with none, and --header would help',
  { timeout: TIMEOUT_MS },
  async () => {
    const { code, stderr } = await prove([TOKEN]).ended();
    expect(stderr).toContain(
      "the server asks for a token (401): --header 'Authorization: Bearer …'",
    );
    expect(code).toBe(2);
  },
);

test(
  'says what it will call before it calls, and leaves no process and no file when it is killed',
  { timeout: TIMEOUT_MS },
  async () => {
    const folder = temporaryFolder();
    const run = prove([FAULTY, '--seconds', '20'], folder);
    await until(() => run.output.stdout.includes('unhinted: no readOnlyHint'), {
      timeoutMs: TIMEOUT_MS,
    });
    expect(run.output.stdout).toMatch(/^ {2}calls +clock, kept, tools\/list$/m);
    expect(readdirSync(folder)).not.toEqual([]);
    run.kill('SIGKILL');
    await until(() => marked(folder).length === 0, { timeoutMs: 10_000, what: 'no process' });
    await until(() => readdirSync(folder).length === 0, { what: 'an empty folder' });
  },
);
