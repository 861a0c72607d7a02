import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { WORKING_VERSIONS } from '../../src/options/packages.ts';

const page = readFileSync(new URL('../../docs/reference/packages.md', import.meta.url), 'utf8');

test('the packages page has the versions that the code accepts', () => {
  const rows = page.split('\n').flatMap((line) => {
    const [, name = '', , versions = ''] = line.split('|').map((cell) => cell.trim().replaceAll('`', ''));
    return name in WORKING_VERSIONS ? [[name, versions]] : [];
  });
  const expected = Object.entries(WORKING_VERSIONS).map(([name, oldest]) => [
    name,
    oldest.map((version) => `^${version}`).join(', '),
  ]);
  expect(rows).toEqual(expected);
});

test('every optional peer may be installed in any version, and its version is checked, or only the application asks for it', () => {
  const { '@modelcontextprotocol/sdk': sdk, '@opentelemetry/api': otel, ...checked } = manifest.peerDependencies;
  expect(new Set([sdk, otel, ...Object.values(checked)])).toEqual(new Set(['*']));
  expect(Object.keys(checked).toSorted()).toEqual(Object.keys(WORKING_VERSIONS).toSorted());
  expect(Object.keys(manifest.peerDependenciesMeta).toSorted()).toEqual(
    Object.keys(manifest.peerDependencies).toSorted(),
  );
});
