/**
 * Removes the comments from the JavaScript of a build: they are 100 kB of the packed package. The declarations keep
 * theirs, because editors show them. Lines that had only a comment are removed, all others stay as the compiler wrote
 * them.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { parseSync } from 'oxc-parser';

/** Tools read these. */
const KEPT = /^[!*\s]*(@license|@preserve|@vite-ignore|webpackIgnore|[#@]__(PURE|NO_SIDE_EFFECTS)__|# source)/;

export function stripComments(file) {
  const text = readFileSync(file, 'utf8');
  const { comments, errors } = parseSync(file, text);
  if (errors.length > 0) throw new Error(`${file}: ${errors[0].message}`);
  let stripped = '';
  let from = 0;
  for (const { start, end, value } of comments) {
    // `#!` is one for the parser.
    if (KEPT.test(value) || (start === 0 && text.startsWith('#!'))) continue;
    const before = text.slice(from, start);
    const lineStart = before.lastIndexOf('\n') + 1;
    const isAlone =
      /^[ \t]*$/.test(before.slice(lineStart)) && (lineStart > 0 || from === 0 || text[from - 1] === '\n');
    const newline = /^[ \t]*(\n|$)/.exec(text.slice(end));
    if (isAlone && newline !== null) {
      stripped += before.slice(0, lineStart);
      from = end + newline[0].length;
    } else {
      stripped += newline === null ? before : before.trimEnd();
      from = end;
    }
  }
  if (from > 0) writeFileSync(file, stripped + text.slice(from));
}
