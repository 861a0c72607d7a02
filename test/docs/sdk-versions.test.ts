/** The table of the SDK's versions on the page of eras, beside what `npm run adopt -- --only sdks` expects. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { OBJECT_SINCE, SDK_MARKS, SDK_VERSIONS, sdkTable } from '../adopt/sdk-expected.ts';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

test('the page has the table of what is expected of each version', () => {
  const page = read('docs/guide/eras-and-modes.md');
  const [begin, end] = SDK_MARKS;
  expect(page.slice(page.indexOf(begin) + begin.length, page.indexOf(end)).trim()).toBe(sdkTable());
});

test('the versions of the table are those that the code checks, and the newest are installed here', () => {
  const source = read('src/definition/sdk-server.ts');
  for (const [name, oldest] of Object.entries(OBJECT_SINCE)) {
    expect(new RegExp(`sdk: '${name}',\\s+oldest: '([^']+)'`).exec(source)?.[1]).toBe(oldest);
    const { version } = JSON.parse(read(`node_modules/${name}/package.json`)) as { version: string };
    const versions = SDK_VERSIONS[name as keyof typeof SDK_VERSIONS];
    expect([versions.at(-1), versions.includes(oldest)]).toEqual([version, true]);
  }
});
