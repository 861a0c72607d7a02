/** The calls that an interruption touched, in ms from its moment: before the cut, the wait, the continuation. */
import type { StoppedInstance, StopCall } from '../../src/dashboard/wire.ts';
import { ms } from '../format.ts';
import { d, Picture, type Shape } from './shapes.ts';
import { endWord } from './words.ts';

export const SLOWED = 12;
/** Longer ones are drawn as they happened, shorter ones slowed. */
export const SLOW_BELOW_MS = 1_000;

export interface LensData {
  readonly stop: StoppedInstance;
  readonly width: number;
  /** ms from the interruption: what came later is not drawn yet. */
  readonly until: number;
  readonly nameOf: (id: string | undefined) => string | undefined;
}

const STEPS_MS = [20, 50, 100, 250, 500, 1000, 2000, 5000, 10_000, 30_000];

const endOf = ({ cut, wait, run = 0 }: StopCall): number => cut + wait + run;

export const mostOf = ({ calls }: StoppedInstance): number => Math.max(20, ...calls.map(endOf));

const MARKS: Record<StoppedInstance['kind'], string> = {
  gone: '',
  silent: 'no answer',
  drain: 'drain begins',
  store: 'store away',
};

function outcomeText({ wait, outcome, to }: StopCall, name: string | undefined): string {
  const waited = wait > 0.5 ? `${ms(wait)}, ` : '';
  const where = to === undefined || name === undefined ? '' : ` on ${name}`;
  const words: Record<StopCall['outcome'], string> = {
    again: `ran again${where}`,
    kept: 'answer was stored',
    'went on': `continued${where}`,
    lost: 'ended: may have run',
    failed: 'ended with an error',
    left: 'its client left',
    waits: 'waits',
  };
  return waited + words[outcome];
}

/** The row of a call: `y` in px. */
function drawCall(
  picture: Picture,
  data: LensData,
  call: StopCall,
  y: number,
  x: (at: number) => number,
  left: number,
): void {
  const { stop, until, width } = data;
  const narrow = left === 0;
  const line = (name: string, from: number, to: number) => {
    if (Math.min(to, until) > from) picture.path(name, d`M${x(from)} ${y}H${x(Math.min(to, until))}`);
  };
  const waitEnd = call.cut + call.wait;
  const isOver = call.outcome !== 'waits';
  const hasEnded = ['lost', 'failed', 'left'].includes(call.outcome);
  line('ran', call.start, Math.max(call.start, call.cut));
  if (call.wait > 0) line('waited', call.cut, waitEnd);
  if (isOver && !hasEnded) line(call.wait > 0 || call.outcome === 'again' ? 'on' : 'ran', waitEnd, endOf(call));
  if (stop.kind === 'gone' && call.start < 0) picture.path('x', d`M${x(0) - 3} ${y - 3}l6 6m0 -6l-6 6`);
  const [what, who] = [call.target ?? call.method ?? '', call.client ?? ''];
  if (narrow) picture.write(0, y - 6, [what, who].filter(Boolean).join(', '), 't2');
  else {
    picture.write(left - 12, y + 4, shorter(what, 16), 't2', 'end');
    picture.write(0, y + 4, shorter(who, 13));
  }
  if (!isOver || until < endOf(call)) return;
  const end = hasEnded ? waitEnd : endOf(call);
  if (hasEnded) picture.path('lost', d`M${x(end) - 3} ${y - 4}h7v7h-7z`);
  else picture.dot('got', x(end), y, 3.2);
  const text = outcomeText(call, data.nameOf(call.to));
  picture.write(
    narrow ? width : x(end) + 10,
    narrow ? y - 6 : y + 4,
    text,
    hasEnded ? 'tb' : 't',
    narrow ? 'end' : 'start',
  );
}

const shorter = (text: string, most: number): string => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

export function lensShapes(data: LensData): { shapes: readonly Shape[]; height: number } {
  const { stop, width, until } = data;
  const picture = new Picture();
  const narrow = width < 560;
  const calls = stop.calls.toSorted((a, b) => a.cut - b.cut || endOf(a) - endOf(b));
  const hasClients = calls.some(({ client }) => client !== undefined);
  const [left, right, tall] = narrow ? [0, 24, 30] : [hasClients ? 196 : 116, 200, 15];
  const most = mostOf(stop);
  const from = Math.min(...calls.map(({ start }) => Math.max(start, -most * 0.6)), -most * 0.04);
  const x = (at: number): number =>
    left + ((Math.max(at, from) - from) / (most * 1.03 - from)) * (width - left - right);
  const height = calls.length * tall + 30;
  if (!narrow) {
    const keys = [
      ['ran', 'ran'],
      ['waited', 'waits'],
      ['on', 'continues'],
    ] as const;
    keys.forEach(([name, words], k) => {
      picture.path(name, `M${width - 190 + k * 66} 7h18`);
      picture.write(width - 168 + k * 66, 11, words);
    });
  }
  const unit = STEPS_MS.find((step) => most / step < 7) ?? 60_000;
  for (let at = 0; at <= most; at += unit) {
    const isCut = at === 0 && stop.kind !== 'drain';
    picture.path(isCut ? 'zero' : 'grid', d`M${x(at)} 16V${height - 8}`);
    const mark =
      stop.kind === 'gone' ? `${narrow ? '' : (stop.name ?? '')} ${endWord(stop.end)}`.trim() : MARKS[stop.kind];
    // The word at 0 needs the room of the next number. On a narrow screen it begins there, else it is in the middle.
    if (at > 0 && x(at) - x(0) < 24 + mark.length * (narrow ? 7 : 3.5)) continue;
    picture.write(x(at), 11, at === 0 ? mark : ms(at), isCut ? 'tb' : '', narrow && at === 0 ? 'start' : 'middle');
  }
  calls.forEach((call, k) => drawCall(picture, data, call, 26 + k * tall + (narrow ? 14 : 0), x, left));
  if (until > 0 && until < most) {
    picture.path('cursor', d`M${x(until)} 16V${height - 8}`);
    if (most < SLOW_BELOW_MS) picture.write(x(until) + 5, height, `slowed ${SLOWED} times`);
  }
  return { shapes: picture.shapes, height };
}
