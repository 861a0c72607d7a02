/** The life of a task: its runs as lanes, steps as bars, a cut as a cross, an open question hatched. */
import type { TaskDetail } from '../../src/dashboard/wire-pages.ts';
import { Drawn } from '../fleet/drawn.tsx';
import { d, Picture, type Shape } from '../fleet/shapes.ts';
import { drawTicks, timeScale, type TimeScale } from '../session/time-scale.ts';
import { nameOf } from '../state/model.ts';
import { useWidth } from '../ui/width.ts';
import { idleSince, openQuestions, runName, runsOf, type ShownRun } from './runs.ts';

const TALL = 36;
const BAR = 12;
/** The latest: a task may have had more. */
const LANES = 8;
/** As wide as a character is at most. */
const LETTER = 6.5;

interface LaneFrame extends TimeScale {
  readonly narrow: boolean;
}

const top = (lane: number): number => 8 + lane * TALL;

function bar(picture: Picture, name: string, from: number, to: number, lane: number): void {
  picture.path(name, d`M${from} ${top(lane)}H${Math.max(from + 1, to)}v${BAR}H${from}z`);
}

function label(picture: Picture, { left, width }: LaneFrame, lane: number, first: string, second: string): void {
  picture.write(0, 18 + lane * TALL, first, 't');
  picture.write(0, 31 + lane * TALL, second);
  picture.path('grid', `M${left} ${TALL + lane * TALL}H${width}`);
}

function drawRun(picture: Picture, run: ShownRun, frame: LaneFrame, lane: number): void {
  const { x, now, narrow } = frame;
  const name = nameOf(run.owner) ?? '';
  label(picture, frame, lane, narrow ? `Run ${run.run}` : runName(run), narrow ? name.slice(0, 11) : name);
  const end = x(run.until ?? now);
  bar(picture, 'own', x(run.begin), end, lane);
  let free = -Infinity;
  for (const step of run.bars) {
    const from = x(step.begin);
    const to = step.ms === undefined ? end : x(step.begin + step.ms);
    const kind = step.ms === undefined ? 'step open' : run.isTakeOver ? 'step again' : 'step';
    bar(picture, kind, from, to - 1, lane);
    if (narrow || from < free || to - from < Math.min(step.name.length, 8) * LETTER) continue;
    const most = Math.floor((to - from) / LETTER);
    const text = step.name.length > most ? `${step.name.slice(0, most - 1)}…` : step.name;
    picture.write(from + 1, 31 + lane * TALL, text, 't');
    free = from + text.length * LETTER;
  }
  if (run.isCut) picture.path('x', d`M${end - 5} ${top(lane) + 1}l10 10m0 -10l-10 10`);
}

function drawMove(picture: Picture, { x }: LaneFrame, run: ShownRun, lane: number): void {
  const [at, from, to] = [x(run.begin), top(lane - 1) + BAR / 2, top(lane) + BAR / 2];
  picture.path('mv', d`M${at} ${from}C${at + 14} ${from} ${at - 14} ${to} ${at} ${to}`);
}

function drawIdle(picture: Picture, detail: TaskDetail, frame: LaneFrame, lane: number, since: number): void {
  const { x, now, narrow } = frame;
  const asked = openQuestions(detail);
  const first = detail.status === 'orphaned' ? 'Owner lost' : asked.length > 0 ? 'Parked' : (detail.state ?? 'Waits');
  label(picture, frame, lane, first.charAt(0).toUpperCase() + first.slice(1), narrow ? '' : 'no process holds it');
  bar(picture, asked.length > 0 ? 'q' : 'rest edge', x(since), x(now), lane);
  const names = asked.map(({ name }) => `“${name}”`).join(', ');
  // What it asks is short, and begins where the bar does, if there is room behind it.
  if (!narrow && asked.length > 0) picture.write(x(now), 31 + lane * TALL, `asks ${names}`.slice(0, 60), 't', 'end');
}

function lanesShapes(detail: TaskDetail, now: number, width: number): { shapes: readonly Shape[]; height: number } {
  const picture = new Picture();
  const narrow = width < 560;
  const all = runsOf(detail);
  const runs = all.slice(-LANES);
  const since = runs[0]?.begin ?? detail.createdAt ?? now;
  const frame = { ...timeScale(narrow ? 84 : 132, width, since, now), narrow };
  for (const [lane, run] of runs.entries()) drawRun(picture, run, frame, lane);
  for (const [lane, run] of runs.entries()) if (lane > 0 && run.isTakeOver) drawMove(picture, frame, run, lane);
  const idle = idleSince(detail, all);
  // A handler that waits in memory holds its lane.
  if (idle === undefined && openQuestions(detail).length > 0)
    bar(picture, 'q', frame.x(detail.updatedAt ?? now), frame.x(now), runs.length - 1);
  if (idle !== undefined) drawIdle(picture, detail, frame, runs.length, idle);
  const lanes = runs.length + (idle === undefined ? 0 : 1);
  const height = lanes * TALL + 20;
  drawTicks(picture, frame, height - 4);
  return { shapes: picture.shapes, height };
}

function spoken(detail: TaskDetail): string {
  const runs = runsOf(detail);
  const parts = runs.slice(-LANES).map((run) => {
    const steps = run.bars.map(({ name, ms }) => (ms === undefined ? `${name}, not recorded yet` : name));
    const where = run.owner === undefined ? '' : ` on ${nameOf(run.owner) ?? run.owner}`;
    return `${runName(run)}${where}: ${steps.join(', ') || 'no step'}${run.isCut ? ', cut' : ''}`;
  });
  const asked = openQuestions(detail).map(({ name }) => name);
  if (idleSince(detail, runs) !== undefined) parts.push('No process holds it');
  return `${parts.join('. ')}.${asked.length === 0 ? '' : ` It asks ${asked.join(', ')}.`}`;
}

export function Lanes({ detail, now }: { detail: TaskDetail; now: number }) {
  const { box, width } = useWidth();
  const drawn = width === 0 ? undefined : lanesShapes(detail, now, width);
  return (
    <div class="lifebox">
      <div ref={box}>
        {drawn !== undefined && (
          <svg
            class="pic"
            role="img"
            aria-label={spoken(detail)}
            viewBox={`0 0 ${width} ${drawn.height}`}
            height={drawn.height}
          >
            <Drawn shapes={drawn.shapes} />
          </svg>
        )}
      </div>
    </div>
  );
}
