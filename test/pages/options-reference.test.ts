/** `docs/reference/options.md`, which `scripts/pages.mjs` makes of comments: each option, with the default of the table. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { limitsOfHeap } from '../../src/base/options/heap-limits.ts';
import { OPTION_NAMES } from '../../src/base/options/resolve.ts';
import { DEFAULTS } from '../../src/base/options/table.ts';

const read = (file: string): string =>
  readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');

/** Option → its default as the page tells it. */
const told = new Map(
  [...read('docs/reference/options.md').matchAll(/^### `([\w.]+)`\n\n_([^_]*)\._/gm)].map(
    ([, name = '', facts = '']) => [
      name,
      /, default ([^]*)$/.exec(facts)?.[1]?.replaceAll(/`|\n/g, ' ').trim(),
    ],
  ),
);

/** The page shows the defaults that follow from the heap for a heap of this size. */
const OF_HEAP = limitsOfHeap(4 * 1024 ** 3);
const members = (group: 'limits' | 'eventRetention') =>
  Object.keys(DEFAULTS[group]).map((name) => `${group}.${name}`);
const names = [
  'limits.perUser',
  'limits.perTool',
  ...OPTION_NAMES,
  ...members('limits'),
  ...members('eventRetention'),
];

const defaultOf = (name: string): unknown =>
  Reflect.get(OF_HEAP, name.replace('limits.', '')) ??
  name.split('.').reduce<unknown>((value, key) => Reflect.get(Object(value), key), DEFAULTS);

describe('the options page', () => {
  test('has every option, and no other', () => {
    expect([...told.keys()].sort()).toEqual([...names].sort());
  });

  const numeric = names.filter(
    (name) => typeof defaultOf(name) === 'number' && name !== 'tombstoneMs',
  );
  const numberIn = (text = ''): number =>
    Number(/^([\d.,]*\d|Infinity)/.exec(text)?.[1]?.replaceAll(',', ''));
  test.each(numeric)('tells the default of %s', (name) => {
    expect(numberIn(told.get(name))).toBe(defaultOf(name));
  });

  const worded = names.filter((name) => ['string', 'boolean'].includes(typeof defaultOf(name)));
  test.each(worded)('tells the default of %s', (name) => {
    const value = defaultOf(name);
    const text = typeof value === 'string' ? `'${value}'` : String(value);
    expect(told.get(name)).toBe(text);
  });

  test.each(['supportedProtocolVersions', 'allowedOrigins'] as const)(
    'tells the default list of %s',
    (name) => {
      expect(told.get(name)?.split(/ *, */)).toEqual(DEFAULTS[name]);
    },
  );
});
