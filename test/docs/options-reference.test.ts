import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ALL_FLAGS, flagName, OPTION_FLAGS, type OptionKey } from '../../src/cli/option-flags.ts';
import { DEFAULTS, OPTIONS } from '../../src/options/table.ts';
import { sharesOf } from '../../src/options/heap-shares.ts';
import { OPTION_NAMES } from '../../src/options/resolve.ts';

const page = readFileSync(new URL('../../docs/reference/options.md', import.meta.url), 'utf8');

/** Option → the line under its heading that tells type, default and flag. */
const entries = new Map(
  [...page.matchAll(/^### `([\w.]+)`\n\n((?:.+\n)+)/gm)].map(([, name = '', facts = '']) => [
    name,
    facts.replaceAll('\n', ' '),
  ]),
);

const members = (group: 'limits' | 'eventRetention') => Object.keys(DEFAULTS[group]).map((name) => `${group}.${name}`);
/** The page shows the defaults that follow from the heap for a heap of this size. */
const SHARES = sharesOf(4 * 1024 ** 3);

const names = ['limits.perUser', 'limits.perTool', ...OPTION_NAMES, ...members('limits'), ...members('eventRetention')];

const defaultOf = (name: string): unknown =>
  Reflect.get(SHARES, name.replace('limits.', '')) ??
  name.split('.').reduce<unknown>((value, key) => Reflect.get(Object(value), key), DEFAULTS);

describe('the options page', () => {
  test('has every option, and no other', () => {
    expect([...entries.keys()].sort()).toEqual([...names].sort());
  });

  const numeric = names.filter((name) => typeof defaultOf(name) === 'number' && name !== 'tombstoneMs');
  const typed = Object.entries({ ...OPTION_FLAGS, ...OPTIONS }).flatMap(([name, spec]) => {
    if (spec.kind === 'switch') return name === 'eventRetention' ? [] : [[name, '`boolean` ·'] as const];
    if (!('range' in spec)) return [];
    const { unit } = spec.range;
    return [[name, ['ms', 'bytes'].includes(unit) ? `\`number\` of ${unit} ·` : '`number` ·'] as const];
  });
  test.each(typed)('tells the type of %s', (name, type) => {
    expect(entries.get(name)).toContain(type);
  });

  test.each(numeric)('tells the default of %s', (name) => {
    const told = /default `([\d.,]+|Infinity)`/.exec(entries.get(name) ?? '')?.[1]?.replaceAll(',', '');
    expect(Number(told)).toBe(defaultOf(name));
  });

  const worded = names.filter((name) => ['string', 'boolean'].includes(typeof defaultOf(name)));
  test.each(worded)('tells the default of %s', (name) => {
    const value = defaultOf(name);
    expect(entries.get(name)).toContain(`default \`${typeof value === 'string' ? `'${value}'` : String(value)}\``);
  });

  test.each(['supportedProtocolVersions', 'allowedOrigins'] as const)('tells the default list of %s', (name) => {
    const told = [...(entries.get(name)?.split('default: ')[1] ?? '').matchAll(/`([^`-][^`]*)`/g)].map(
      ([, item]) => item,
    );
    expect(told).toEqual(DEFAULTS[name]);
  });

  test.each(names.filter((name) => name !== 'limits'))('tells how the command line spells %s', (name) => {
    const isModuleOnly = ALL_FLAGS.get(name as OptionKey)?.kind === 'module';
    const told = entries.get(name) ?? '';
    expect(told.includes('· module only')).toBe(isModuleOnly);
    expect(told.includes(`\`--${flagName(name)}\``)).toBe(!isModuleOnly);
  });
});
