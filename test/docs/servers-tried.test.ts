/** The page of published servers, beside the list that `npm run adopt -- --only servers` tries. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { SERVERS } from '../adopt/server-list.ts';
import { HEAD, INTRO, rowStart } from '../adopt/servers-page.ts';

const page = readFileSync(new URL('../../docs/guide/servers-tried.md', import.meta.url), 'utf8');
const [, ...rows] = page
  .split('\n')
  .filter((line) => line.startsWith('| '))
  .map((line) =>
    line
      .slice(1, -1)
      .split(' | ')
      .map((cell) => cell.trim()),
  );
const servers = rows.filter(([name = '']) => !name.startsWith('--'));

/** Those that the page must have, by the beginning of their names. */
const NAMED = [
  'server-everything',
  'server-memory',
  'server-filesystem',
  'server-map',
  'context7',
  'skybridge',
  'fastmcp',
  'litemcp',
  'Apify',
  'Angular CLI',
  'Sentry',
  'mcp-handler',
  'Notion',
];

test('the page is what a run of the present list writes', () => {
  expect(page.startsWith(INTRO)).toBe(true);
  expect(page).toContain(`| ${HEAD[0]}`);
  const versions = servers.map(([, , sdk = '']) => sdk.split(' ')[1] ?? '');
  expect(servers.map((cells) => cells.slice(0, 5))).toEqual(
    SERVERS.map((server, n) => rowStart(server, versions[n] ?? '')),
  );
  expect(versions.filter((version) => !/^\d/.test(version))).toEqual([]);
});

test('every server of it passes every stage, or the published version does not start by itself', () => {
  const stages = servers.map(([name = '', , , , , cell = '']) => [name, cell]);
  expect(stages).toEqual(
    SERVERS.map(({ name, doesNotStart }) => [name, doesNotStart === undefined ? 'all four' : 'not started']),
  );
  for (const named of NAMED)
    expect(stages.find(([name]) => name?.startsWith(named))).toEqual([expect.any(String), 'all four']);
  expect(page.split('\n').filter((line) => / of \d clients/.test(line))).toEqual([]);
});

test('it names no folder of a machine, and says what each server answers whose call is compared with stdio', () => {
  expect(/\/(?:home|root|work|tmp|Users|var)\//.exec(page)?.[0]).toBeUndefined();
  const notes = page.slice(page.indexOf('## Notes')).split('\n');
  for (const { name, call, own, doesNotStart } of SERVERS) {
    const note = notes.find((line) => line.startsWith(`- **${name}**`)) ?? '';
    if (call.expect === undefined) expect(own, `${name} is compared with nothing`).toBeDefined();
    if (call.expect === undefined && doesNotStart === undefined) expect(note).toContain('answers, as on stdio: `{');
    if (doesNotStart !== undefined) expect(note).toMatch(doesNotStart);
  }
});
