/** When `npm run attacks -- --write` changes SECURITY.md, and when not. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
// @ts-expect-error -- a script, without types
import * as script from '../../scripts/attacks.mjs';

const { attacks, CLASSES } = script as {
  attacks(options: object): number;
  CLASSES: Readonly<Record<string, number>>;
};

interface Run {
  status: number;
  /** What each file counted. */
  counts: Array<{ file: string; attackClass: string; attempts: number; letIn: number }>;
  results: Array<{ name: string; status: string; assertionResults: Array<{ fullName: string; status: string }> }>;
}

const FILES = Object.keys(CLASSES).map((name) => `${name.replaceAll(/\W+/g, '-')}.test.ts`);

/** The place of a class in a clean run. */
const at = (attackClass: string): number => Object.keys(CLASSES).indexOf(attackClass);

/** A run in which everything passed. `plain.test.ts` counts nothing. */
function cleanRun(): Run {
  return {
    status: 0,
    counts: Object.entries(CLASSES).map(([attackClass, attempts], n) => ({
      file: FILES[n] as string,
      attackClass,
      attempts,
      letIn: 0,
    })),
    results: [...FILES, 'plain.test.ts'].map((name) => ({
      name: `/project/test/security/${name}`,
      status: 'passed',
      assertionResults: [{ fullName: 'refuses it', status: 'passed' }],
    })),
  };
}

const PAGE = '# Security\n\n<!-- attacks -->\n\nold\n\n<!-- /attacks -->\n';

/** Writes after this run. */
function write(change: (run: Run) => void) {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-page-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const page = join(folder, 'SECURITY.md');
  writeFileSync(page, PAGE);
  const result = cleanRun();
  change(result);
  const said: string[] = [];
  const code = attacks({
    write: true,
    page,
    files: [...FILES.map((name) => ({ name, counts: true })), { name: 'plain.test.ts', counts: false }],
    out: (line: string) => said.push(line),
    run({ counts, report }: { counts: string; report: string }) {
      if (result.counts.length > 0) {
        writeFileSync(counts, result.counts.map((line) => `${JSON.stringify(line)}\n`).join(''));
      }
      if (result.results.length > 0) writeFileSync(report, JSON.stringify({ testResults: result.results }));
      return result.status;
    },
  });
  return { code, page: readFileSync(page, 'utf8'), said: said.join('\n') };
}

test('the counts of a run without a failure are written', () => {
  const { code, page } = write(() => {});
  expect([code, page]).toEqual([0, expect.stringMatching(/\| users +\| 1600 +\| 0 +\|\n/)]);
  expect(page).not.toContain('old');
});

test.each<[string, (run: Run) => void, string]>([
  [
    'a test failed',
    (run) => {
      run.status = 1;
      Object.assign(run.results[0] as object, { status: 'failed' });
      Object.assign(run.results[0]?.assertionResults[0] as object, { status: 'failed' });
    },
    'scopes-and-rights.test.ts: refuses it: failed',
  ],
  [
    'a test was skipped',
    (run) => void Object.assign(run.results[at('users')]?.assertionResults[0] as object, { status: 'skipped' }),
    'users.test.ts: refuses it: skipped',
  ],
  ['a file was not run', (run) => void run.results.pop(), 'plain.test.ts: was not run'],
  ['a file counted nothing', (run) => void run.counts.shift(), 'scopes-and-rights.test.ts: counted nothing'],
  [
    'an attempt had an effect',
    (run) => void Object.assign(run.counts[at('tokens')] as object, { letIn: 1 }),
    'tokens: at least',
  ],
  [
    'a class has too few',
    (run) => void Object.assign(run.counts[at('floods')] as object, { attempts: 1 }),
    'floods: at least',
  ],
  ['the run ended otherwise', (run) => void (run.status = 3), 'the tests ended with 3'],
  [
    'the run never began',
    (run) => void Object.assign(run, { status: 1, counts: [], results: [] }),
    'users.test.ts: was not run',
  ],
])('nothing is written when %s', (_, change, reason) => {
  const { code, page, said } = write(change);
  expect([code, page]).toEqual([1, PAGE]);
  expect(said).toContain(reason);
});
