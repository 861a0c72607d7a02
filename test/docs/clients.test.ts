/** The recorded run of `npm run test:clients -- --write` on the page of clients, once there is one. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { CASES } from '../clients/other-rounds.ts';

const page = readFileSync(new URL('../../docs/internals/clients.md', import.meta.url), 'utf8');
const [, recorded = ''] = /<!-- clients:begin -->\n(.*)<!-- clients:end -->/s.exec(page) ?? [];
const [head = [], , ...rows] = recorded
  .split('\n')
  .filter((line) => line.startsWith('|'))
  .map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );

test.skipIf(rows.length === 0)('every client is recorded in every case', () => {
  expect(head).toEqual(['client, era', ...Object.values(CASES)]);
  const clients = ['Python 1', 'Python 2', 'go-sdk', 'mcp-go', 'TypeScript 1', 'TypeScript 2', 'rmcp', 'Java'];
  expect(clients.filter((client) => !rows.some(([name = '']) => name.startsWith(client)))).toEqual([]);
  // 2026-07-28 has no GET stream and no session.
  const missing = rows.flatMap(([name = '', ...cells]) => cells.filter((cell) => cell === '–').map(() => name));
  expect(missing.filter((name) => !name.endsWith('2026'))).toEqual([]);
});

test.skipIf(rows.length === 0)('nothing went wrong for which no note names the cause', () => {
  const cells = rows.flatMap(([name, ...of]) => of.map((cell, n) => `${name}, ${head[n + 1]}: ${cell}`));
  expect(cells.filter((cell) => !/: (–|0 of \d+|.*\(\d+\))$/.test(cell))).toEqual([]);
});
