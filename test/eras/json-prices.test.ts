// @module-tag matrix
/**
 * What bodies of one shape take in the heap of a process, beside what `message-checks.ts` and the bytes of a body charge
 * for them. A separate process measures each shape and calls its garbage collector.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { BODY_WEIGHT } from '../../src/http/body.ts';
import { bytesOfText } from '../../src/base/protocol/json-size.ts';

const MEASURE = fileURLToPath(new URL('processes/parsed-bytes.mjs', import.meta.url));
const COUNT = 50_000;
/** A charge may be this much below what is measured. */
const PART = 0.8;

/** A word that no other element has. */
const word = (n: number): string => n.toString(36).padStart(4, 'x');

const SHAPES: Readonly<Record<string, (n: number) => string>> = {
  'empty objects': () => '{}',
  'empty arrays': () => '[]',
  'arrays of one': () => '[0]',
  'arrays of two': () => '[0,0]',
  'nested arrays': (n) => (n % 100 === 0 ? '['.repeat(100) + ']'.repeat(100) : '0'),
  'nested objects': (n) => (n % 50 === 0 ? `${'{"a":'.repeat(50)}0${'}'.repeat(50)}` : '0'),
  'small numbers': () => '1',
  fractions: () => '1.5',
  'numbers as separate objects': (n) => (n === 0 ? 'null' : '-0'),
  'empty texts': () => '""',
  'short texts': (n) => `"${word(n)}"`,
  'longer texts': (n) => `"${word(n)}xxxxxxxxxxxx"`,
  'texts with wide characters': (n) => `"${word(n)}ж"`,
  escapes: (n) => String.raw`"\n\"${word(n)}"`,
  'objects of one shape': () => '{"a":0,"b":1.5,"c":""}',
  'objects with a key that no other has': (n) => `{"${word(n)}":0}`,
  'objects with two such keys': (n) => `{"${word(n)}":0,"${word(n + COUNT)}":0}`,
  'objects with a number as key': () => '{"999":0}',
  'objects with a number and a word': (n) => `{"999":0,"${word(n)}":0}`,
  __proto__: () => '{"__proto__":{}}',
};

const OBJECTS: Readonly<Record<string, (n: number) => string>> = {
  'one object': (n) => `"${word(n)}":0`,
  'one object with numbers as keys': (n) => `"${n * 1_000 + 5}":0`,
};

async function measured(text: string): Promise<number> {
  const run = promisify(execFile)(process.execPath, ['--expose-gc', MEASURE]);
  run.child.stdin?.end(text);
  return Number((await run).stdout);
}

const texts: Array<readonly [string, string]> = [
  ...Object.entries(SHAPES).map(
    ([name, one]) => [name, `[${Array.from({ length: COUNT }, (_, n) => one(n)).join()}]`] as const,
  ),
  ...Object.entries(OBJECTS).map(
    ([name, one]) => [name, `{${Array.from({ length: COUNT }, (_, n) => one(n)).join()}}`] as const,
  ),
];

test.each(texts)('a body of %s is charged no less than it takes', async (name, text) => {
  const bytes = Buffer.byteLength(text);
  const wide = text.length < bytes ? text.length : 0;
  const charged = bytes * BODY_WEIGHT + wide + bytesOfText(text, Infinity);
  const taken = await measured(text);
  console.log(
    `${name}: takes ${(taken / bytes).toFixed(1)} times its bytes, is charged ${(charged / taken).toFixed(2)} of that`,
  );
  expect(charged / taken).toBeGreaterThan(PART);
});
