/** The table of the SDK's versions on the page of eras, beside what `npm run adopt -- --only sdks` expects. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { SDK_MARKS, SDK_VERSIONS, sdkTable } from '../adopt/sdk-expected.ts';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

test('the page has the table of what is expected of each version', () => {
  const page = read('docs/guide/eras-and-modes.md');
  const [begin, end] = SDK_MARKS;
  expect(page.slice(page.indexOf(begin) + begin.length, page.indexOf(end)).trim()).toBe(sdkTable());
});

test('the oldest and newest versions of the table are those that the code names, and the newest are installed', () => {
  const source = read('src/sdk/sdk-server.ts');
  for (const [name, versions] of Object.entries(SDK_VERSIONS)) {
    expect(new RegExp(`sdk: '${name}',\\s+oldest: '([^']+)'`).exec(source)?.[1]).toBe(versions[0]);
    const { version } = JSON.parse(read(`node_modules/${name}/package.json`)) as { version: string };
    expect(versions.at(-1)).toBe(version);
  }
});
