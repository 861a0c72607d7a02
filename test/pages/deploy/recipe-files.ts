/** Reads the files of the recipes. */
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { parseAllDocuments } from 'yaml';

/** A file of `examples/deploy`. */
export const recipe = (path: string): string =>
  readFileSync(new URL(`../../../examples/deploy/${path}`, import.meta.url), 'utf8');

/** What YAML holds; a test says what it expects there. */
export type Tree = any;

export function yaml(path: string): Tree[] {
  return parseAllDocuments(recipe(path)).map((document) => {
    expect([path, document.errors, document.warnings]).toEqual([path, [], []]);
    return document.toJS();
  });
}

/** `'35s'`, `'10m'` → ms */
export function ms(text: string): number {
  const [, amount, unit = ''] = /^(\d+)(ms|s|m|h)$/.exec(text) ?? [];
  return Number(amount) * ({ ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[unit] ?? NaN);
}

/** The value of a directive of nginx. */
export const directive = (text: string, name: string): string =>
  new RegExp(`^\\s*${name}\\s+([^;\\n]+?);?$`, 'm').exec(text)?.[1] ?? `no ${name}`;
