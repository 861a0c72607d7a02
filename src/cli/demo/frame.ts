/** The frames of the demo: from 100 × 30 the large layout, from 80 × 24 the small one. */
import type { ClientRow, CounterRow, Facts, InstanceRow } from './facts.ts';
import type { Sign } from './scripted-client.ts';
import { fit, type Line, lengthOf, span, type Style, wrapped } from './styled-text.ts';
import { CAN_FREEZE } from './instance-names.ts';

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

const LARGE: Size = { columns: 100, rows: 30 };
const SMALL: Size = { columns: 80, rows: 24 };

export type Layout = 'large' | 'small';

/** `undefined`: the terminal is too small for a frame. */
export function layoutOf({ columns, rows }: Size): Layout | undefined {
  if (columns >= LARGE.columns && rows >= LARGE.rows) return 'large';
  return columns >= SMALL.columns && rows >= SMALL.rows ? 'small' : undefined;
}

export const widthOf = (layout: Layout): number => (layout === 'large' ? LARGE : SMALL).columns;

/** `selected`: the number of the instance, from 0. */
export function frame(facts: Facts, layout: Layout, rows: number, selected: number): readonly Line[] {
  return layout === 'large' ? largeFrame(facts, rows, selected) : smallFrame(facts, rows, selected);
}

function clock(ms: number): string {
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
  return `${two(ms / 60_000)}:${two((ms / 1_000) % 60)}`;
}

/** With hundredths. */
export const exactClock = (ms: number): string =>
  `${clock(ms)}.${String(Math.floor((ms % 1_000) / 10)).padStart(2, '0')}`;

export function header(facts: Pick<Facts, 'ms' | 'dashboard'>, width: number): Line[] {
  const left = [span(' '), span('sojourn demo', 'bold'), span('   3 instances, one SQLite file, 6 clients')];
  const page = facts.dashboard === undefined || width < LARGE.columns ? '' : `dashboard ${facts.dashboard}   `;
  const right = `${page}${clock(facts.ms)} `;
  return [[...fit(left, width - right.length), span(right)], [span('─'.repeat(width), 'dim')]];
}

const rule = (title: string, width: number): Line => [
  span('─── ', 'dim'),
  span(title),
  span(` ${'─'.repeat(width - title.length - 5)}`, 'dim'),
];

function largeFrame(facts: Facts, rows: number, selected: number): Line[] {
  const width = LARGE.columns;
  const top = [
    ...header(facts, width),
    [span(` ${facts.headline[0]}`, 'bold')],
    [span(` ${facts.headline[1]}`)],
    [],
    [span('   instance   pid     calls/s   lease   state                 live here, by client', 'dim')],
    ...facts.instances.map((row, n) => largeInstance(row, n, n === selected)),
    largeStore(facts.store),
    [],
    [span(" Each client counts        on sojourn; a sign is ¼ s                on the SDK's own transport")],
    ...facts.clients.map((row) => clientLine(row, 18, 10)),
    rule('what you see', width),
    ...explained(facts, width, 3),
    rule('what happened', width),
  ];
  const room = Math.max(0, rows - top.length - 2);
  return [...filled([...top, ...logLines(facts, width, room)], rows - 1), keys(width)];
}

function largeInstance({ name, pid, rate, lease, state, style, live }: InstanceRow, n: number, on: boolean): Line {
  const cells = `${pid.padEnd(6)}${rate.padStart(9)}${lease.padStart(8)}   `;
  return [
    span(on ? ' ▸ ' : '   ', 'moved'),
    span(`${n + 1} ${name.padEnd(9)}`, on ? 'bold' : 'plain'),
    span(cells, 'dim'),
    span(state.padEnd(22), style),
    ...liveNames(live),
  ];
}

function largeStore({ ms, state, style, holds }: Facts['store']): Line {
  const cells = `${'sqlite'.padEnd(6)}${''.padStart(9)}${ms.padStart(8)}   `;
  return [span('   store      '), span(cells, 'dim'), span(state.padEnd(22), style), span(holds)];
}

/** A session that moved after the last interruption has a > and is blue. */
const liveNames = (live: InstanceRow['live']): Line =>
  live.flatMap(({ client, moved }, n) => [
    span(n === 0 ? '' : ', '),
    moved ? span(`>${client}`, 'moved') : span(client),
  ]);

const SIGNS: Readonly<Record<Sign, readonly [string, Style]>> = {
  answered: ['·', 'dim'],
  waits: ['w', 'wait'],
  error: ['x', 'bad'],
  quiet: [' ', 'plain'],
};

/** `theirs` 0: no signs on the right. */
function clientLine({ name, version, ours, theirs }: ClientRow, left: number, right: number): Line {
  const place = [span(ours.place.padEnd(7), ours.placeStyle), span(ours.note, ours.noteStyle)];
  return [
    span(` client ${name}      ${version}  `),
    span(String(ours.number).padStart(4), 'bold'),
    span('  '),
    ...signs(ours, left),
    span('  '),
    ...fit(place, left === 18 ? 15 : 14),
    span(String(theirs.number).padStart(4), theirs.placeStyle === 'bad' ? 'bad' : 'bold'),
    span('  '),
    ...(right === 0 ? [] : [...signs(theirs, right), span('  ')]),
    span(theirs.place, theirs.placeStyle),
  ];
}

function signs({ signs: all }: CounterRow, count: number): Line {
  const shown = all.slice(-count).map((sign) => span(...SIGNS[sign]));
  return [span(' '.repeat(count - shown.length)), ...shown];
}

const explained = ({ explanation }: Facts, width: number, most: number): Line[] =>
  filled(
    wrapped(explanation, width - 2).map((text) => [span(` ${text}`)]),
    most,
  );

const logLines = ({ log }: Facts, width: number, most: number): Line[] =>
  log.slice(0, most).map(({ at, text }) => fit([span(` ${exactClock(at)}  `, 'dim'), span(text)], width));

function filled(lines: readonly Line[], count: number): Line[] {
  return Array.from({ length: count }, (_, n) => lines[n] ?? []);
}

function keys(width: number): Line {
  const large = width === LARGE.columns;
  const all = [
    ['1 2 3', large ? 'instance' : ''],
    ['k', 'kill -9'],
    ...(CAN_FREEZE ? [['f', 'freeze']] : []),
    ['d', 'drain'],
    ['r', 'restart'],
    ['s', large ? 'store away 5 s' : 'store'],
    ['?', 'explain'],
    ['q', large ? 'quit' : ''],
  ];
  const line = all.flatMap(([key = '', what = '']) => [span(key, 'bold'), span(what === '' ? '   ' : ` ${what}   `)]);
  return fit([span(' '), ...line], Math.min(width, lengthOf(line) + 1));
}

function smallFrame(facts: Facts, rows: number, selected: number): Line[] {
  const width = SMALL.columns;
  const { store } = facts;
  const lines = [
    ...header(facts, width),
    [span(` ${facts.headline[0]}`, 'bold')],
    [span(` ${facts.headline[1]}`)],
    [],
    ...facts.instances.map((row, n) => smallInstance(row, n, n === selected)),
    [span('   store     '), span(store.state.padEnd(22), store.style), span(store.holds)],
    [],
    [span(" Each client counts        on sojourn                     on the SDK's transport")],
    ...facts.clients.map((row) => clientLine(row, 10, 0)),
    rule('what you see', width),
    ...wrapped(facts.explanation, width - 2).map((text) => [span(` ${text}`)]),
  ];
  const room = Math.max(0, rows - 1 - lines.length - (rows > SMALL.rows ? 1 : 0));
  return [...filled([...lines, ...logLines(facts, width, room)], rows - 1), keys(width)];
}

function smallInstance({ name, state, style, live }: InstanceRow, n: number, on: boolean): Line {
  return [
    span(on ? ' ▸ ' : '   ', 'moved'),
    span(`${n + 1} ${name.padEnd(8)}`, on ? 'bold' : 'plain'),
    span(state.padEnd(22), style),
    ...liveNames(live),
  ];
}
