/** `docs/reference/options.md` is made of the comments of the option types: each option has one, with its default. */
import { describe, expect, test } from 'vitest';
import { sharesOf } from '../../src/options/heap-shares.ts';
import { OPTION_NAMES } from '../../src/options/resolve.ts';
import { DEFAULTS } from '../../src/options/table.ts';
// @ts-expect-error a script without types
import * as option from '../../scripts/option-docs.mjs';

const docs = (option as { optionDocs: () => Map<string, { said: string; preset?: string }> }).optionDocs();

/** The page shows the defaults that follow from the heap for a heap of this size. */
const SHARES = sharesOf(4 * 1024 ** 3);
const members = (group: 'limits' | 'eventRetention') => Object.keys(DEFAULTS[group]).map((name) => `${group}.${name}`);
const names = ['limits.perUser', 'limits.perTool', ...OPTION_NAMES, ...members('limits'), ...members('eventRetention')];

const defaultOf = (name: string): unknown =>
  Reflect.get(SHARES, name.replace('limits.', '')) ??
  name.split('.').reduce<unknown>((value, key) => Reflect.get(Object(value), key), DEFAULTS);

describe('the options page', () => {
  test('has every option, and no other', () => {
    expect([...docs.keys()].sort()).toEqual([...names].sort());
  });

  const numeric = names.filter((name) => typeof defaultOf(name) === 'number' && name !== 'tombstoneMs');
  test.each(numeric)('tells the default of %s', (name) => {
    const told = /^([\d.,]*\d|Infinity)/.exec(docs.get(name)?.preset ?? '')?.[1]?.replaceAll(',', '');
    expect(Number(told)).toBe(defaultOf(name));
  });

  const worded = names.filter((name) => ['string', 'boolean'].includes(typeof defaultOf(name)));
  test.each(worded)('tells the default of %s', (name) => {
    const value = defaultOf(name);
    expect(docs.get(name)?.preset).toBe(`\`${typeof value === 'string' ? `'${value}'` : String(value)}\``);
  });

  test.each(['supportedProtocolVersions', 'allowedOrigins'] as const)('tells the default list of %s', (name) => {
    const told = [...(docs.get(name)?.preset ?? '').matchAll(/`([^`]*)`/g)].map(([, item]) => item);
    expect(told).toEqual(DEFAULTS[name]);
  });
});
