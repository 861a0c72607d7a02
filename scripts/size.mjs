/**
 * `npm run size`: characters of code, without comments, indentation and empty lines. A limit of lines would make the
 * lines dense.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseSync } from 'oxc-parser';
import { root } from './steps.mjs';

const PLACES = {
  source: ['src', 'packages/*/src/*', ':!src/dashboard/page'],
  tests: ['test'],
};

/** Files that git knows or would add. */
function filesOf(paths) {
  const args = ['ls-files', '-co', '--exclude-standard', '--deduplicate', ...paths];
  const names = execFileSync('git', args, { cwd: root, encoding: 'utf8' }).split('\n');
  return names.filter((name) => /\.[cm]?[jt]sx?$/.test(name) && existsSync(join(root, name)));
}

function sizeOf(name) {
  const text = readFileSync(join(root, name), 'utf8');
  let [code, end] = ['', 0];
  for (const comment of parseSync(name, text).comments) {
    code += text.slice(end, comment.start);
    end = comment.end;
  }
  const lines = `${code}${text.slice(end)}`.split('\n');
  return lines.reduce((sum, line) => sum + line.trim().length, 0);
}

for (const [place, paths] of Object.entries(PLACES)) {
  const files = filesOf(paths);
  const size = files.reduce((sum, name) => sum + sizeOf(name), 0);
  console.log(`${place}: ${(size / 1e6).toFixed(3)} million characters in ${files.length} files`);
}
