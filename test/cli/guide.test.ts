import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { SERVE_FLAGS, defaultOf, flagName, type ServeKey } from '../../src/cli/option-flags.ts';

const guide = readFileSync(new URL('../../docs/guide/cli.md', import.meta.url), 'utf8');

test.each(Object.keys(SERVE_FLAGS) as ServeKey[])('the guide tells --%s and its default', (key) => {
  const [, told] = new RegExp(`^\\| \`--${flagName(key)}(?: [^\`]+)?\` +\\| ([^|]+?) +\\|`, 'm').exec(guide) ?? [];
  expect(told?.replaceAll('`', '')).toBe(defaultOf(key) ?? '–');
});
