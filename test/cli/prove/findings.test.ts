/** What runs of a tool say about its server. */
import { expect, test } from 'vitest';
import type { Called } from '../../../src/cli/prove/crowd.ts';
import { findingsOf, ranTwice, type Evidence } from '../../../src/cli/prove/findings.ts';
import type { Fault, ToolRun } from '../../../src/cli/prove/proved-instance.ts';

/** Each inner list: the answers of one process. `clients`: how many call in turn. */
function runsOf(answers: readonly (readonly string[])[], clients = 1): ToolRun[] {
  return answers.flatMap((of, process) =>
    of.map((answer, n): ToolRun => {
      const [call, tool] = [`c${n % clients}.${process}-${n}`, 'tool'];
      const isError = answer === 'error';
      const end = {
        prove: 'ended',
        call,
        tool,
        answer: isError ? undefined : answer,
        isError,
        asks: false,
      } as const;
      return { pid: process + 1, tool, call, began: 0, end };
    }),
  );
}

const seen = (given: Partial<Evidence>): Evidence => ({
  runs: [],
  faults: [],
  called: [],
  hinted: new Set(['tool']),
  isProgram: false,
  drainTimeoutMs: 25_000,
  ...given,
});
const whatOf = (given: Partial<Evidence>): string[] =>
  findingsOf(seen(given)).map(({ what }) => what);

const STATE = ['state in the process'];
const range = (from: number, length: number): string[] =>
  Array.from({ length }, (_, n) => `${from + n}`);
/** Each of two clients has its own count. */
const twoCounts = ['1', '1', '2', '2', '3', '3'];

test.each([
  ['a counter of the process', runsOf([range(1, 6), range(1, 4), range(1, 3)]), STATE],
  [
    'a counter of the process, answered out of order',
    runsOf([
      ['2', '1', '3', '4'],
      ['1', '3', '2'],
      ['2', '1'],
    ]),
    STATE,
  ],
  ['a count of each session', runsOf([twoCounts, twoCounts], 2), STATE],
  [
    'sessions that a later process does not know',
    runsOf([Array(4).fill('ok'), Array(4).fill('error')], 2),
    STATE,
  ],
  ['a count that continues', runsOf([range(1, 6), range(7, 6), range(13, 6)]), []],
  ['a clock', runsOf([range(100, 6), range(200, 6), range(300, 6)]), []],
  ['a constant', runsOf([Array(6).fill('a'), Array(6).fill('a'), Array(6).fill('a')]), []],
  [
    'a coin',
    runsOf([
      ['0', '1', '1', '0'],
      ['0', '1', '0'],
      ['1', '0', '0'],
      ['1', '1', '0'],
    ]),
    [],
  ],
  [
    'a service that fails at times',
    runsOf(
      [
        ['ok', 'error', 'ok', 'ok'],
        ['ok', 'error', 'ok', 'error'],
      ],
      2,
    ),
    [],
  ],
])('%s', (_, runs, found) => {
  expect(whatOf({ runs })).toEqual(found);
});

test('questions that a call asks are no answers', () => {
  const runs = runsOf([
    ['ask', 'a'],
    ['ask', 'a'],
    ['ask', 'a'],
  ]).map((run): ToolRun => {
    const { end } = run;
    return end?.answer === 'ask' ? { ...run, end: { ...end, answer: undefined, asks: true } } : run;
  });
  expect(whatOf({ runs })).toEqual([]);
});

test('memory that is lost with a program is told in words of its own', () => {
  const runs = runsOf([range(1, 6), range(1, 4), range(1, 3)]);
  const [{ text } = { text: '' }] = findingsOf(seen({ runs, isProgram: true }));
  expect(text).toMatch(/^tool lost what it kept: the memory of a program goes with its process/);
});

const failed = (reason: string): Called => ({
  phase: 'kills',
  kind: '2025, resumes',
  tool: 'tool',
  waitedMs: 1,
  failed: reason,
});

test('lost calls are the fault of a tool without hints, and no fault of one with hints', () => {
  const given = { runs: runsOf([['a']]), called: [failed('owner_lost')] };
  expect(whatOf({ ...given, hinted: new Set() })).toEqual(['no hints']);
  expect(whatOf(given)).toEqual([]);
  expect(whatOf({ ...given, hinted: new Set(), called: [failed('timed out')] })).toEqual([]);
});

test('a call that a tool without hints ran twice counts, and one that was asked in rounds does not', () => {
  const [run] = runsOf([['a']]) as [ToolRun];
  const asked: ToolRun = { ...run, end: { ...run.end!, asks: true } };
  expect(ranTwice(seen({ runs: [asked, asked, run], hinted: new Set() }))).toBe(0);
  expect(ranTwice(seen({ runs: [run, { ...run, pid: 2 }], hinted: new Set() }))).toBe(1);
  expect(ranTwice(seen({ runs: [run, { ...run, pid: 2 }] }))).toBe(0);
});

test('to blame for a blocked loop is what ran each time', () => {
  const fault = (...tools: string[]): Fault => ({
    kind: 'blocked',
    instance: 1,
    ms: 2_500,
    tools,
    words: '',
  });
  const found = findingsOf(seen({ faults: [fault('slow', 'block'), fault('block', 'echo')] }));
  expect(found).toMatchObject([
    { what: 'blocked', tool: 'block', text: expect.stringContaining('2.5 s while block ran') },
  ]);
});
