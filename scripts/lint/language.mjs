/**
 * The language rule: comments and texts in `src/` and `test/` and the documentation are plain English. The words below hide
 * who acts, so no comment, no string, no name of a test and no page uses them. A comment line has at most 120 characters.
 *
 * `node scripts/lint/language.mjs` prints file, line and word of each hit. It exits 1 when a finished folder has a hit,
 * or when a folder in `UNFINISHED` has none left. `npm run check` runs it; `test/house/language.test.ts` shows it
 * refusing a fixture. Another project is checked by its root as argument, with `UNFINISHED` after it.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';

const WORDS = [
  'whoever',
  'whomever',
  'somebody',
  'nobody',
  'anybody',
  'meanwhile',
  'stands',
  'goes on',
  'is told',
  'are told',
  'one that',
  'what is left',
  'of its own',
];
/** A comment in `src/` that begins like this is a fragment, and its noun is in the code. Write a sentence. */
const FRAGMENT = /^\s*(?:\/\*\*?|\/\/)?\s*(Of|By|Without|As) /;
/** Not `\b`: an underscore begins and ends words of a page in italics. */
const WORD = new RegExp(`(?<![a-z])(?:${WORDS.join('|').replaceAll(' ', '\\s+')})(?![a-z])`, 'gi');
const LONGEST_LINE = 120;
const SOURCE = /\.m?tsx?$|\.mjs$/;

const CHECKED = ['src', 'dashboard', 'test', 'docs', 'README.md', 'CONTRIBUTING.md', 'ARCHITECTURE.md', 'SECURITY.md'];

/** Generated builds, and the fixture of this lint's own test. */
const SKIPPED = /^test\/(?:compat\/builds|house\/language)\b/;

/**
 * Folders (with a slash at the end) and files that still have hits. Remove a line when its folder is rewritten: from
 * then on the lint holds it.
 */
const UNFINISHED = [];

/** The lines of the source with everything but comments replaced by spaces. */
function commentsOnly(source) {
  let inBlock = false;
  const keepFrom = (line, column) => ' '.repeat(column) + line.slice(column);
  return source.split('\n').map((line) => {
    const begins = inBlock || /^\s*\/[*/]/.test(line);
    if (inBlock || /^\s*\/\*/.test(line)) inBlock = !line.includes('*/');
    if (begins) return line.replace(/^\s*(?:\/\*+|\/\/|\*)/, (mark) => ' '.repeat(mark.length));
    for (const { index } of line.matchAll(/(?<=\s)\/[*/](?=[\s*])/g))
      if (["'", '"', '`'].every((quote) => line.slice(0, index).split(quote).length % 2 === 1))
        return keepFrom(line, index + 2);
    return '';
  });
}

/** What a file has against the rule, as `{ line, word }`. */
function hitsOf(file, text) {
  const isSource = SOURCE.test(file);
  const originals = text.split('\n');
  // In source the words are looked for in code too, which has them in strings.
  const lines = isSource ? originals.map((line) => line.replace(/^\s*(?:\/\*+|\/\/|\*)/, '')) : originals;
  // An empty line ends a paragraph: a phrase is found across the end of a line, and not across paragraphs.
  const prose = lines.map((line) => line.trim() || '¶').join('\n');
  const hits = [...prose.matchAll(WORD)].map((match) => ({
    line: prose.slice(0, match.index).split('\n').length,
    word: match[0].replace(/\s+/g, ' '),
  }));
  if (!isSource) return hits;
  commentsOnly(text).forEach((comment, index) => {
    const { length } = originals[index];
    if (comment.trim() && length > LONGEST_LINE) hits.push({ line: index + 1, word: `${length} characters` });
  });
  if (file.startsWith('src/')) hits.push(...fragmentsOf(originals));
  return hits.sort((a, b) => a.line - b.line);
}

/** The first lines of comments that begin like a fragment. */
function fragmentsOf(lines) {
  const isLine = (line) => /^\s*\/\//.test(line ?? '');
  return lines.flatMap((line, index) => {
    const before = lines[index - 1] ?? '';
    const first = /^\s*\/\*\*? \S/.test(line) || (isLine(line) && !isLine(before));
    const second = /^\s*\* \S/.test(line) && /^\s*\/\*\*?$/.test(before);
    const word = first || second ? FRAGMENT.exec(line.replace(/^\s*\*(?!\*)/, ''))?.[1] : undefined;
    return word === undefined ? [] : [{ line: index + 1, word: `begins with '${word}'` }];
  });
}

function filesOf(root, path) {
  const full = join(root, path);
  if (!existsSync(full)) return [];
  if (!statSync(full).isDirectory()) return [path];
  return readdirSync(full, { recursive: true, encoding: 'utf8' })
    .map((file) => `${path}/${file.split(sep).join('/')}`)
    .filter((file) => !SKIPPED.test(file) && (path === 'docs' ? /\.md$/ : SOURCE).test(file))
    .sort();
}

const [root = resolve(import.meta.dirname, '../..'), ...others] = process.argv.slice(2);
const unfinished = process.argv.length > 2 ? others : UNFINISHED;
const seen = new Set();
let refused = 0;
for (const file of CHECKED.flatMap((path) => filesOf(root, path))) {
  const hits = hitsOf(file, readFileSync(join(root, file), 'utf8'));
  const listed = unfinished.filter((entry) => entry === file || (entry.endsWith('/') && file.startsWith(entry)));
  if (hits.length > 0) for (const entry of listed) seen.add(entry);
  if (listed.length > 0) continue;
  refused += hits.length;
  for (const { line, word } of hits) console.log(`${file}:${line}: ${word}`);
}
for (const entry of unfinished) {
  if (seen.has(entry)) continue;
  refused += 1;
  console.log(`${entry} has no hit any more: remove it from UNFINISHED in ${relative(root, import.meta.filename)}`);
}
process.exitCode = refused > 0 ? 1 : 0;
