/** What `sojourn demo` draws, from facts. */
import { describe, expect, test } from 'vitest';
import { explainFrame } from '../../src/cli/demo/explain-frame.ts';
import { TEXTS } from '../../src/cli/demo/explanation.ts';
import type { CounterRow, Facts, InstanceRow } from '../../src/cli/demo/facts.ts';
import { frame, layoutOf } from '../../src/cli/demo/frame.ts';
import { type FleetFacts, headline } from '../../src/cli/demo/headline.ts';
import { Screen } from '../../src/cli/demo/screen.ts';
import { inkOf, lengthOf, type Line, painted, wrapped } from '../../src/cli/demo/styled-text.ts';

const counter: CounterRow = {
  number: 424,
  signs: Array.from({ length: 18 }, (_, n) => (n === 17 ? 'waits' : 'answered')),
  place: 'three',
  placeStyle: 'moved',
  note: '186 ms',
  noteStyle: 'wait',
};
const ended: CounterRow = { ...counter, signs: ['error'], place: '404 at 423', placeStyle: 'bad', note: '' };

const instance = (name: string, live: InstanceRow['live']): InstanceRow => ({
  name,
  pid: '4121',
  rate: '8.1',
  lease: '2.4 s',
  state: '● serving',
  style: 'plain',
  live,
});

const facts: Facts = {
  ms: 106_040,
  dashboard: undefined,
  headline: [
    'two was killed 3 s ago. 3 calls waited and went on: the longest took 186 ms.',
    'Its 2 sessions continue.',
  ],
  explanation: wrapped(TEXTS.join(' '), 200)[0] ?? '',
  instances: [
    instance('one', [{ client: 'A', moved: false }]),
    { ...instance('two', []), state: '× killed 3 s ago', style: 'bad', pid: '–', rate: '–', lease: '–' },
    instance('three', [
      { client: 'C', moved: false },
      { client: 'B', moved: true },
    ]),
  ],
  store: { ms: '0.2 ms', state: '● answers', style: 'plain', holds: 'keeps all four' },
  clients: ['A', 'B', 'C', 'D'].map((name) => ({ name, version: '2025-11-25', ours: counter, theirs: ended })),
  log: [{ at: 106_010, text: 'two was killed (pid 4122)' }],
};

const textOf = (line: Line): string => line.map(({ text }) => text).join('');

describe.each([
  ['large', 100, 30],
  ['large', 140, 44],
  ['small', 80, 24],
  ['small', 99, 29],
] as const)('the %s frame in %i × %i', (layout, columns, rows) => {
  const lines = frame(facts, layout, rows, 1);

  test('is the layout of this size, has all rows and fits the width', () => {
    expect(layoutOf({ columns, rows })).toBe(layout);
    expect(lines).toHaveLength(rows);
    for (const line of lines) expect(lengthOf(line), textOf(line)).toBeLessThanOrEqual(layout === 'large' ? 100 : 80);
  });

  test('shows each fact', () => {
    const text = lines.map(textOf).join('\n');
    for (const part of [facts.headline[0], '▸ 2 two', '× killed 3 s ago', 'C, >B', '404 at 423', 'two was killed (pid'])
      expect(text).toContain(part);
    expect(text).toMatch(/client B {6}2025-11-25 {3}424 {2}·+w {2}three {2}186 ms/);
    expect(textOf(lines.at(-1) ?? [])).toMatch(/^ 1 2 3 .*k kill -9 .*d drain .*r restart .*s store/);
  });

  test('has room for the explanation', () => {
    const explained = explainFrame(facts, layout, rows).map(textOf);
    expect(explained).toHaveLength(rows);
    expect(explained.join('\n')).toContain('x: an error');
    expect(explained.at(-1)).toContain('any key goes back');
    for (const line of explained.slice(2)) expect(line.length, line).toBeLessThanOrEqual(80);
  });
});

test('below 80 × 24 there is no frame', () => {
  expect(layoutOf({ columns: 79, rows: 40 })).toBeUndefined();
  expect(layoutOf({ columns: 120, rows: 23 })).toBeUndefined();
});

test('each text of "what you see" has at most three lines of 100 columns, and four of 80', () => {
  expect(TEXTS.length).toBeGreaterThan(5);
  for (const text of TEXTS) {
    expect(wrapped(text, 98).length, text).toBeLessThanOrEqual(3);
    expect(wrapped(text, 78).length, text).toBeLessThanOrEqual(4);
  }
});

test('colours follow the terminal: dark, light, none, and signs of ASCII without UTF-8', () => {
  const line: Line = [{ text: '▸ ×', style: 'bad' }];
  const shown = (env: NodeJS.ProcessEnv): string => painted(line, inkOf(env, 'linux'));
  expect(shown({ LANG: 'en_US.UTF-8' })).toBe('\u001b[91m▸ ×\u001b[0m');
  expect(shown({ LANG: 'en_US.UTF-8', COLORFGBG: '0;15' })).toBe('\u001b[31m▸ ×\u001b[0m');
  expect(shown({ LANG: 'en_US.UTF-8', NO_COLOR: '1' })).toBe('▸ ×');
  expect(shown({ LANG: 'C', NO_COLOR: '1' })).toBe('> x');
});

test('the screen writes only lines that changed, and leaves the terminal as it was', () => {
  let written = '';
  const screen = new Screen((text) => (written += text), { colours: undefined, unicode: true });
  screen.show([[{ text: 'first', style: 'plain' }], [{ text: 'second', style: 'plain' }]]);
  written = '';
  screen.show([[{ text: 'first', style: 'plain' }], [{ text: 'third', style: 'plain' }]]);
  expect(written).toBe('\u001b[2;1Hthird\u001b[K');
  written = '';
  screen.close();
  screen.close();
  expect(written).toBe('\u001b[?25h\u001b[?1049l');
});

describe('the headline', () => {
  const fleet: FleetFacts = {
    instances: ['one', 'two', 'three'].map((name) => ({ name, serves: true })),
    sessions: 4,
    waiting: 0,
    last: undefined,
    backInMs: undefined,
  };
  const killed: NonNullable<FleetFacts['last']> = {
    cause: 'killed',
    instance: 'two',
    agoMs: 50,
    overMs: undefined,
    sessions: 2,
    continued: 0,
    continueOn: [],
    waits: [],
    lost: 0,
  };
  const dead = fleet.instances.map(({ name }) => ({ name, serves: name !== 'two' }));

  test.each<[string, FleetFacts, string]>([
    ['all is well', fleet, '3 instances serve 4 sessions. Nothing waits.'],
    [
      'just killed',
      { ...fleet, instances: dead, waiting: 3, last: killed },
      'two was killed 0.05 s ago. 3 calls wait for another instance.',
    ],
    [
      'continued',
      { ...fleet, instances: dead, last: { ...killed, agoMs: 3_000, continued: 2, waits: [152, 186, 174] } },
      'two was killed 3 s ago. 3 calls waited and went on: the longest took 186 ms.',
    ],
    [
      'a call failed',
      { ...fleet, instances: dead, last: { ...killed, agoMs: 3_000, continued: 2, waits: [152], lost: 1 } },
      'two was killed 3 s ago. 1 call waited and went on: it took 152 ms. 1 call failed.',
    ],
    [
      'the store is away',
      { ...fleet, waiting: 4, backInMs: 3_700, last: { ...killed, cause: 'store', instance: undefined, agoMs: 1_300 } },
      'The store has not answered for 1.3 s. 4 calls wait, none failed.',
    ],
    [
      'none serves',
      { ...fleet, instances: dead.map(({ name }) => ({ name, serves: false })), waiting: 6, last: killed },
      'No instance serves. 6 calls wait.',
    ],
  ])('%s', (_title, now, first) => {
    expect(headline(now)[0]).toBe(first);
  });
});
