/**
 * The last minute of the fleet: a lane for each instance with the requests that ended in each two seconds, and what
 * happened to it. It is drawn from one answer of the server alone, so a page that was opened just now, or that another
 * instance answers since, shows the same.
 *
 *     name            joined ▏          draining ▏     killed ✕      words, from the newest to the oldest
 *     ▁▂▅▃▂▁▂▅▃▂▁▂▅▃▂▁▂▅▃▂▁▂▅▃▂▁▂▅▃▂                                 requests, over the line of its life
 */
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { FleetPage, InstanceRow } from '../wire.ts';
import { many, ms, span } from './format.ts';
import { nameOf } from './state.ts';

const MINUTE_MS = 60_000;
const BIN_MS = 2_000;
const LANE = 58;
const BARS = 30;
const TOP = 20;
/** The width of a letter in the words of a lane. */
const LETTER = 6.6;
const WORD_GAP = 14;
const TICKS = [60, 45, 30, 15, 0];

interface PictureMark {
  readonly at: number;
  readonly word: string;
  readonly kind: 'plain' | 'wait' | 'bad';
}

/** What happened to an instance, and when: each thing once. */
export function marksOf({
  state,
  since,
  joinedAt,
  drainingAt,
  figures,
}: InstanceRow): PictureMark[] {
  const marks: PictureMark[] = [{ at: joinedAt, word: 'joined', kind: 'plain' }];
  if (drainingAt !== undefined) marks.push({ at: drainingAt, word: 'draining', kind: 'wait' });
  if (state === 'left') marks.push({ at: since, word: 'left', kind: 'plain' });
  if (state === 'killed') marks.push({ at: since, word: 'killed', kind: 'bad' });
  if (state === 'silent') marks.push({ at: since, word: 'away', kind: 'bad' });
  const away = figures?.away;
  if (away !== undefined)
    marks.push({ at: away.since, word: `store away ${ms(away.ms)}`, kind: 'wait' });
  return marks;
}

interface Lane {
  readonly row: InstanceRow;
  readonly y: number;
  readonly xOf: (at: number) => number;
  readonly page: FleetPage;
}

function Life({ row, y, xOf, page }: Lane) {
  const { joinedAt, drainingAt, state, since } = row;
  const isOver = state === 'killed' || state === 'left';
  const isBroken = isOver || state === 'silent';
  const end = xOf(isBroken ? since : page.at);
  const line = y + LANE - 6;
  const drained = drainingAt === undefined ? end : Math.min(end, xOf(drainingAt));
  const cross = `M${end - 4} ${line - 4}l8 8m0-8l-8 8`;
  return (
    <>
      <path class="life" d={`M${xOf(joinedAt)} ${line}H${drained}`} />
      {drained < end && <path class="life drains" d={`M${drained} ${line}H${end}`} />}
      {state === 'silent' && <path class="life away" d={`M${end} ${line}H${xOf(page.at)}`} />}
      {state === 'killed' && <path class="cross" d={cross} />}
    </>
  );
}

function Bars({ row: { figures, figuresAt }, y, xOf, most }: Lane & { most: number }) {
  if (figures === undefined) return null;
  const base = y + LANE - 9;
  return (
    <>
      {figures.calls.map((calls, k) => {
        const at = figuresAt - (figures.calls.length - k) * BIN_MS;
        const [left, right] = [Math.max(0, xOf(at)), xOf(at + BIN_MS)];
        if (calls === 0 || right - left < 1) return null;
        const tall = Math.max(1.5, (calls / most) * BARS);
        return (
          <rect
            key={k}
            class="bar"
            x={left}
            y={base - tall}
            width={Math.max(1, right - left - 1)}
            height={tall}
          />
        );
      })}
    </>
  );
}

/** Newest first, each left of the one before. What has no room is in the table. */
function placed(
  marks: readonly PictureMark[],
  xOf: (at: number) => number,
  from: number,
  to: number,
) {
  let right = to;
  const words: (PictureMark & { readonly x: number })[] = [];
  for (const mark of marks.toSorted((one, other) => other.at - one.at)) {
    const wide = mark.word.length * LETTER;
    const x = Math.min(xOf(mark.at) + 3, right - wide);
    if (xOf(mark.at) < 0 || x < from) continue;
    words.push({ ...mark, x });
    right = x - WORD_GAP;
  }
  return words;
}

function Words({ row, y, xOf, page, width }: Lane & { width: number }) {
  const { figures, state } = row;
  const name = nameOf(row.id);
  const waiting = figures?.waiting ?? 0;
  const isGone = state === 'killed' || state === 'left';
  const isThere = state === 'serving' || state === 'draining';
  const waits =
    isThere && waiting > 0 ? `${many(waiting, 'request')} ${waiting === 1 ? 'waits' : 'wait'}` : '';
  const free = width - (waits === '' ? 0 : waits.length * LETTER + WORD_GAP);
  const marks = marksOf(row);
  return (
    <>
      <text class="name" x="0" y={y + 14}>
        {name}
      </text>
      {placed(marks, xOf, name.length * 7.4 + WORD_GAP, free).map(({ at, word, kind, x }) => (
        <g key={word} class={kind}>
          <path class="mark" d={`M${xOf(at)} ${y + 4}V${y + LANE - 6}`} />
          <text x={x} y={y + 14}>
            {word}
          </text>
        </g>
      ))}
      {waits !== '' && (
        <text class="wait" x={width} y={y + 14} text-anchor="end">
          {waits}
        </text>
      )}
      {figures === undefined && (
        <text x="0" y={y + LANE - 14}>
          no dashboard is mounted there, so its requests are not known
        </text>
      )}
      {page.awaySince !== undefined && row.id !== page.instance && !isGone && (
        <text class="wait" x={width} y={y + LANE - 14} text-anchor="end">
          seen last {span(page.at - page.readAt)} ago
        </text>
      )}
    </>
  );
}

/** The picture as a sentence. */
export function sentenceOf({ instances, at, awaySince }: FleetPage): string {
  const parts = instances.map((row) => {
    const last = marksOf(row).toSorted((one, other) => other.at - one.at)[0];
    return `${nameOf(row.id)} is ${row.state}${last === undefined ? '' : `, ${last.word} ${span(at - last.at)} ago`}`;
  });
  const away = awaySince === undefined ? '' : ` The store is away since ${span(at - awaySince)}.`;
  return `The last minute: ${parts.join('; ')}.${away}`;
}

export function Picture({ page }: { page: FleetPage }) {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(800);
  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const { instances, at, awaySince } = page;
  const xOf = (time: number): number => Math.max(-1, width * (1 - (at - time) / MINUTE_MS));
  const tall = TOP + instances.length * LANE;
  const most = Math.max(4, ...instances.flatMap(({ figures }) => figures?.calls ?? []));
  return (
    <div ref={box} class="picture">
      <svg
        width={width}
        height={tall}
        viewBox={`0 0 ${width} ${tall}`}
        role="img"
        aria-label={sentenceOf(page)}
      >
        {TICKS.map((seconds) => {
          const x = width * (1 - seconds / 60);
          const anchor = seconds === 60 ? 'start' : seconds === 0 ? 'end' : 'middle';
          return (
            <g key={seconds} class="tick">
              <path d={`M${x} ${TOP - 4}V${tall}`} />
              <text x={x} y="11" text-anchor={anchor}>
                {seconds === 0 ? 'now' : `${seconds} s ago`}
              </text>
            </g>
          );
        })}
        {awaySince !== undefined && (
          <rect
            class="outage"
            x={Math.max(0, xOf(awaySince))}
            y={TOP}
            width={width - Math.max(0, xOf(awaySince))}
            height={tall - TOP}
          />
        )}
        {instances.map((row, k) => {
          const lane = { row, y: TOP + k * LANE, xOf, page };
          return (
            <g key={row.id}>
              <Bars {...lane} most={most} />
              <Life {...lane} />
              <Words {...lane} width={width} />
            </g>
          );
        })}
      </svg>
    </div>
  );
}
