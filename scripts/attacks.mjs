/**
 * `npm run attacks`: runs the attacks of `test/security/` and prints how many attempts each class had. Fails where a
 * class has fewer than it must have, or where an attempt was let in. `--write` writes the table into SECURITY.md.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** How many attempts a class must have at least. Stores whose server is not installed are left out of the counts. */
export const CLASSES = {
  'scopes and rights': 500,
  users: 400,
  tokens: 500,
  'bodies, headers, targets': 2_000,
  'messages and stores': 300,
  floods: 8,
};

const page = fileURLToPath(new URL('../SECURITY.md', import.meta.url));
const TABLE = /(<!-- attacks -->\n)[^]*?(<!-- \/attacks -->)/;

function tableOf(sums) {
  const rows = Object.keys(CLASSES).map(
    (name) => `| ${name} | ${sums[name]?.attempts ?? 0} | ${sums[name]?.letIn ?? 0} |`,
  );
  return ['| attacks | attempts | had an effect |', '| --- | --- | --- |', ...rows].join('\n');
}

function run() {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-attacks-'));
  const file = join(folder, 'counts');
  writeFileSync(file, '');
  const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url));
  const { status } = spawnSync(process.execPath, [vitest, 'run', 'test/security'], {
    stdio: 'inherit',
    env: { ...process.env, SOJOURN_ATTACKS: file },
  });
  const sums = {};
  for (const line of readFileSync(file, 'utf8').split('\n').filter(Boolean)) {
    const { attackClass, attempts, letIn } = JSON.parse(line);
    const sum = (sums[attackClass] ??= { attempts: 0, letIn: 0 });
    sum.attempts += attempts;
    sum.letIn += letIn;
  }
  rmSync(folder, { recursive: true });
  const table = tableOf(sums);
  console.log(`\n${table}`);
  const failed = Object.entries(CLASSES).filter(
    ([name, least]) => (sums[name]?.attempts ?? 0) < least || sums[name]?.letIn > 0,
  );
  for (const [name, least] of failed) console.error(`${name}: at least ${least} attempts, and none with an effect`);
  if (process.argv.includes('--write')) {
    writeFileSync(
      page,
      readFileSync(page, 'utf8').replace(TABLE, (_, before, after) => `${before}\n${table}\n\n${after}`),
    );
  }
  process.exitCode = status !== 0 || failed.length > 0 ? 1 : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) run();
