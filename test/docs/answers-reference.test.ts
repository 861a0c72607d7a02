import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import * as errors from '../../src/errors.ts';
import { errorJson, hasNullId, isAnsweredOnSession } from '../../src/http/answer.ts';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const cells = (line: string): string[] =>
  line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim().replaceAll('`', ''));
const [refusals = [], lost = []] = read('docs/internals/answers.md')
  .split('\n## ')
  .slice(1)
  .map((part) =>
    part
      .split('\n')
      .filter((line) => /^\| `[A-Z_]+`/.test(line))
      .map(cells),
  );

/** Thrown to server code, as the page of errors says; no client gets them by themselves. */
const THROWN = read('docs/reference/errors.md')
  .split('\n')
  .map(cells)
  .flatMap(([code = '', status]) => (status === '–' ? [code] : []));

/** One error of each builder; where it takes `mayHaveRun`, one with it. */
const built = Object.values(errors).flatMap((value): errors.SojournError[] => {
  if (typeof value !== 'function' || value === errors.SojournError || value === errors.rpcError) return [];
  const build = value as (...args: unknown[]) => unknown;
  const error = build('x', ['y'], 'z');
  if (!(error instanceof errors.SojournError) || THROWN.includes(error.code)) return [];
  return [error.data !== undefined && 'mayHaveRun' in error.data ? (build(true) as errors.SojournError) : error];
});

describe('the page of answers', () => {
  test('tells how each error is answered, and no other', () => {
    const expected = new Map<string, string[]>();
    for (const error of built) {
      if (error.status < 400 || error.data?.['mayHaveRun'] === true) continue;
      const { code, status } = error;
      const onSession = isAnsweredOnSession(error) ? '200' : String(status);
      expected.set(code, [code, String(status), onSession, hasNullId(error) ? 'null' : 'request']);
    }
    expect(refusals.toSorted()).toEqual([...expected.values()].toSorted());
  });

  test('tells which errors become the result of a tool', () => {
    const told = built.filter((error) => errorJson(error, 1, 'result').includes('"isError":true'));
    const rows = told.map(({ code }) => [code, 'JSON-RPC error', 'tool result, isError: true']);
    expect(lost.toSorted()).toEqual(rows.toSorted());
  });
});

describe('no other file', () => {
  const files = ['http', 'relay', 'eras', 'endpoint', 'session', 'cluster']
    .flatMap((room) => {
      const folder = new URL(`../../src/${room}`, import.meta.url);
      return readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((path) => `src/${room}/${path}`);
    })
    .filter((path) => path.endsWith('.ts') && path !== 'src/http/answer.ts');

  test('answers with a status of 400 or more', () => {
    expect(files.length).toBeGreaterThan(50);
    expect(files.filter((path) => /\.respond\(\s*(?:[45]\d\d|\w+\.status)\b/.test(read(path)))).toEqual([]);
  });

  test('writes the error of a request as JSON', () => {
    const writes = files.filter((path) => /JSON\.stringify\(\{[^}]*rpcError\(/.test(read(path)));
    expect(writes).toEqual([]);
  });
});
