/**
 * `npm run attacks`: runs the attacks of `test/security/` and prints how many attempts each class had. Fails where a
 * class has fewer than it must have, where an attempt was let in, and where a test did not pass. `--write` writes the
 * table into SECURITY.md, only after a run without any of that.
 *
 * `npm run attacks -- shapes [--minutes N]` searches for requests that cost a server most; see
 * `test/security/shapes/main.ts`.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { register } from 'tsx/esm/api';
import { renderTable } from './markdown-table.mjs';

/** How many attempts a class must have at least. */
export const CLASSES = {
  'scopes and rights': 960,
  URIs: 4_000,
  names: 12_000,
  files: 40,
  users: 1_600,
  tokens: 1_430,
  'slow issuers': 3_800,
  'bodies, headers, targets': 17_600,
  'longest inputs': 60,
  'messages and stores': 2_230,
  floods: 9,
  memory: 45_000,
  pipelined: 45_000,
  shapes: 10,
  notifications: 18_700,
  slots: 1_300,
  resumes: 500,
  'waiting room': 2_500,
  'aborted requests': 5_800,
};

const folder = fileURLToPath(new URL('../test/security', import.meta.url));
const securityPage = fileURLToPath(new URL('../SECURITY.md', import.meta.url));
const TABLE = /(<!-- attacks -->\n)[^]*?(<!-- \/attacks -->)/;

/** Every test file, and whether it counts attempts. */
function testFiles() {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => ({ name, counts: readFileSync(join(folder, name), 'utf8').includes('countAttempts(') }));
}

/** Runs the tests with vitest. The files count into `counts`; `report` gets the results as JSON. */
function runTests({ counts, report }) {
  const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url));
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const { status } = spawnSync(process.execPath, [vitest, 'run', 'test/security', ...reporters], {
    stdio: 'inherit',
    env: { ...process.env, SOJOURN_ATTACKS: counts },
  });
  return status;
}

/** What `read` gives, or `otherwise` when there is no such file. */
function readOr(path, otherwise) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
    return otherwise;
  }
}

/** What makes the counts of a run incomplete: a line for each file and test. */
function incomplete({ files, status, results, counted }) {
  const problems = [];
  const byName = new Map(results.map((result) => [basename(result.name), result]));
  for (const { name, counts } of files) {
    const result = byName.get(name);
    if (result === undefined) problems.push(`${name}: was not run`);
    else if (result.status !== 'passed') problems.push(`${name}: ${result.status}`);
    for (const { fullName, status: outcome } of result?.assertionResults ?? []) {
      if (outcome !== 'passed') problems.push(`${name}: ${fullName}: ${outcome}`);
    }
    if (counts && !counted.has(name)) problems.push(`${name}: counted nothing`);
  }
  if (status !== 0 && problems.length === 0) problems.push(`the tests ended with ${status}`);
  return problems;
}

function tableOf(sums) {
  const rows = Object.keys(CLASSES).map((name) => [name, String(sums[name].attempts), String(sums[name].letIn)]);
  return renderTable(['attacks', 'attempts', 'had an effect'], rows);
}

/** Resolves with the exit code. The options are for tests. */
export function attacks({ write, page = securityPage, files = testFiles(), run = runTests, out = console.log } = {}) {
  const place = mkdtempSync(join(tmpdir(), 'sojourn-attacks-'));
  const [counts, report] = [join(place, 'counts'), join(place, 'report.json')];
  const status = run({ counts, report });
  const lines = readOr(counts, '').split('\n').filter(Boolean);
  const { testResults: results } = JSON.parse(readOr(report, '{"testResults":[]}'));
  rmSync(place, { recursive: true });

  const sums = Object.fromEntries(Object.keys(CLASSES).map((name) => [name, { attempts: 0, letIn: 0 }]));
  const counted = new Set();
  for (const { file, attackClass, attempts, letIn } of lines.map((line) => JSON.parse(line))) {
    sums[attackClass].attempts += attempts;
    sums[attackClass].letIn += letIn;
    counted.add(file);
  }
  const table = tableOf(sums);
  out(`\n${table}`);
  const problems = incomplete({ files, status, results, counted });
  for (const [name, least] of Object.entries(CLASSES)) {
    const { attempts, letIn } = sums[name];
    if (attempts < least || letIn > 0) problems.push(`${name}: at least ${least} attempts, and none with an effect`);
  }
  for (const problem of problems) out(problem);
  if (problems.length > 0) {
    if (write) out('Nothing is written: the counts are not those of a run in which every test passed.');
    return 1;
  }
  if (write) {
    const text = readFileSync(page, 'utf8').replace(TABLE, (_, before, after) => `${before}\n${table}\n\n${after}`);
    writeFileSync(page, text);
  }
  return 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv[2] === 'shapes') {
    register();
    await import('../test/security/shapes/main.ts');
  } else {
    process.exitCode = attacks({ write: process.argv.includes('--write') });
  }
}
