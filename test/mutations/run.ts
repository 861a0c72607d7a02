/**
 * Breaks src/ one line at a time, in a copy of the tree, and shows which test fails:
 *
 *     npm run test:mutations [-- ID...]    each mutation of mutations.txt, with the tests that should catch it
 *     npm run test:mutations -- --check    only whether each text is still in its file
 *
 * A mutation is caught when a test fails in a file that passes without it. Where code moves, its mutation moves with it.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

interface Mutation {
  readonly id: string;
  readonly promise: string;
  readonly file: string;
  readonly caughtBy: readonly string[];
  readonly from: string;
  readonly to: string;
}

const root = resolve(import.meta.dirname, '../..');
/** A mutation may let a test wait for ever. */
const MOST_MS = 300_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { check: { type: 'boolean' } },
});

function parse(text: string): Mutation[] {
  return text.split(/\n(?=# )/).map((block) => {
    const parts = /^# (\S+): (.+)\n(\S+) caught by (.+)\n- (.+)\n\+ ?(.*)\n?$/.exec(block);
    if (parts === null) throw new Error(`mutations.txt: this is not a mutation:\n${block}`);
    const [, id = '', promise = '', file = '', tests = '', from = '', to = ''] = parts;
    return { id, promise, file, caughtBy: tests.split(' '), from, to };
  });
}

function faultsOf({ id, file, from, caughtBy }: Mutation): string[] {
  const missing = [file, ...caughtBy].filter((name) => !existsSync(join(root, name)));
  if (missing.length > 0) return missing.map((name) => `${id}: there is no file ${name}`);
  const found = readFileSync(join(root, file), 'utf8').split(from).length - 1;
  return found === 1
    ? []
    : [`${id}: ${file} has this text ${found} times instead of once: ${from}`];
}

/** A copy whose tests do not build. */
function copyOfTree(): string {
  const copy = mkdtempSync(join(tmpdir(), 'mutations-'));
  const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  });
  for (const file of listed.trim().split('\n')) {
    if (existsSync(join(root, file))) cpSync(join(root, file), join(copy, file));
  }
  for (const folder of ['node_modules', 'dist'])
    symlinkSync(join(root, folder), join(copy, folder));
  writeFileSync(join(copy, 'test/kit/built.mjs'), 'export default () => {};\n');
  return copy;
}

/** The first test that fails. */
function firstFailure(
  copy: string,
  tests: readonly string[],
  timeout?: number,
): string | undefined {
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const args = [vitest, 'run', '--bail=1', '--no-color', ...tests];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: copy,
    encoding: 'utf8',
    maxBuffer: Infinity,
    timeout,
  });
  return status === 0
    ? undefined
    : (/^ *FAIL +(.+)$/m.exec(stdout + stderr)?.[1] ?? `vitest ended with ${status}`);
}

function failureWith(copy: string, { file, from, to, caughtBy }: Mutation): string | undefined {
  const source = readFileSync(join(copy, file), 'utf8');
  writeFileSync(
    join(copy, file),
    source.replace(from, () => to),
  );
  try {
    return firstFailure(copy, caughtBy, MOST_MS);
  } finally {
    writeFileSync(join(copy, file), source);
  }
}

/** How many are not caught. */
function run(copy: string, mutations: readonly Mutation[]): number {
  const before = firstFailure(copy, [...new Set(mutations.flatMap(({ caughtBy }) => caughtBy))]);
  if (before !== undefined) throw new Error(`this fails without a mutation: ${before}`);
  let missed = 0;
  for (const mutation of mutations) {
    const began = performance.now();
    const test = failureWith(copy, mutation);
    if (test === undefined) missed += 1;
    const seconds = ((performance.now() - began) / 1_000).toFixed(1).padStart(5);
    console.log(`${seconds} s  ${mutation.id} | ${mutation.promise} | ${test ?? 'SURVIVED'}`);
  }
  console.log(`${mutations.length - missed} caught, ${missed} not`);
  return missed;
}

function main(): number {
  const all = parse(readFileSync(join(import.meta.dirname, 'mutations.txt'), 'utf8'));
  const unknown = positionals.filter((id) => !all.some((mutation) => mutation.id === id));
  const faults = [...unknown.map((id) => `mutations.txt has no ${id}`), ...all.flatMap(faultsOf)];
  for (const fault of faults) console.error(fault);
  if (faults.length > 0 || values.check === true) return faults.length;
  const copy = copyOfTree();
  try {
    return run(
      copy,
      positionals.length === 0 ? all : all.filter(({ id }) => positionals.includes(id)),
    );
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

process.exitCode = main() === 0 ? 0 : 1;
