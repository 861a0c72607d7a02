/** `sojourn` in this process, for commands that serve nothing: a process of its own costs half a second of CPU. */
import { Readable } from 'node:stream';
import { check } from '../../src/cli/check.ts';
import { doctor } from '../../src/cli/doctor.ts';
import { runCli } from '../../src/cli/program.ts';
import { confirms } from '../../src/cli/records/confirmation.ts';
import { records } from '../../src/cli/records/records.ts';
import type { ServeSettings } from '../../src/cli/settings.ts';

interface Here {
  env?: Record<string, string>;
  /** What a person answers. */
  input?: string;
  /** In place of the answer: what happens while the person reads the question. */
  between?: () => unknown;
  cwd?: string;
  serve?: (module: string, settings: ServeSettings, passed: readonly string[]) => Promise<number>;
}

export async function runHere(args: readonly string[], { env = {}, input = '', between, cwd = '/', serve }: Here = {}) {
  const output = { stdout: '', stderr: '' };
  const out = (text: string): void => void (output.stdout += text);
  const err = (text: string): void => void (output.stderr += text);
  const ask = async (question: string): Promise<boolean> => {
    await between?.();
    return between !== undefined || confirms(question, Readable.from(input), err);
  };
  // The channel of a test's process does not count as work that a module waits for.
  const held = setInterval(() => {}, 1_000);
  const code = await runCli(args, {
    env,
    out,
    err,
    serve: serve ?? (() => Promise.reject(new Error('serve needs a process'))),
    check: (request) => check(request, cwd, out),
    doctor: (request) => doctor(request, out),
    records: (request) => records(request, { out, confirms: ask }),
  }).finally(() => clearInterval(held));
  return { code, ...output };
}

export const linesOf = (text: string): Array<Record<string, unknown>> =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
