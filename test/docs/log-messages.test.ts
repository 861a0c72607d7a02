/** `docs/reference/log-messages.md`: every line that `src/` writes, with its levels and fields, and no other. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
// @ts-expect-error a script without types
import * as script from '../../scripts/log-lines.mjs';

interface Row {
  readonly text: string | undefined;
}

interface Line {
  readonly text: string;
  readonly levels: readonly string[];
  readonly fields: readonly string[];
}

const { logLines, PAGE } = script as { logLines: () => readonly Line[]; PAGE: string };
const page = readFileSync(new URL(`../../${PAGE}`, import.meta.url), 'utf8');

const spans = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text);

/** The rows with a level, a line, fields and a meaning. */
const rows = page
  .split('\n')
  .filter((line) => /^\| `(?:debug|info|warn|error|fatal)`.* \| `/.test(line))
  .map((line) => line.slice(1, -1).split(' | '))
  .map(([levels = '', text = '', fields = '', ...meaning]) => ({
    text: spans(text)[0],
    levels: spans(levels),
    fields: spans(fields).toSorted(),
    meaning: meaning.join(' | ').trim(),
  }));

test('the page has every line of the source with its levels and fields, each once, and no other', () => {
  const told = rows.map(({ meaning: _, ...row }) => row);
  const written = logLines().map(({ text, levels, fields }) => ({ text, levels, fields }));
  const byText = (a: Row, b: Row) => String(a.text).localeCompare(String(b.text));
  expect(told.toSorted(byText)).toEqual(written.toSorted(byText));
  expect(rows.length).toBeGreaterThan(180);
});

test('each line says what it means', () => {
  expect(rows.filter(({ meaning }) => meaning.length < 8)).toEqual([]);
});

test('the script reads every call: a literal, a choice, a constant, and what a function returns', () => {
  const texts = new Map(logLines().map(({ text, levels }) => [text, levels.join(' ')]));
  expect(texts.get('A tool threw')).toBe('warn');
  expect(texts.get('The lease ran out: this instance claims its sessions again under a new id')).toBe('debug warn');
  expect(texts.get('A request could not be served: …')).toBe('warn error');
  expect([...texts.keys()].filter((text) => text.startsWith('…-wal has … MiB'))).toHaveLength(1);
});
