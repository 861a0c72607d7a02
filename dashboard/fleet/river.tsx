/** The instances: a table of figures, and over its lane cells the picture of the last minute. */
import { signal } from '@preact/signals';
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { clock, count, ms, NONE, percent, span } from '../format.ts';
import { bins, fleet, hello, lanes, now } from '../state/model.ts';
import type { Lane } from '../state/lanes.ts';
import { type Bin, type LaneBin, rateOf, WINDOW_MS, leftIn } from '../state/minute.ts';
import { go } from '../state/route.ts';
import { word } from '../lists/filter.ts';
import { Icon } from '../ui/icon.tsx';
import { Menu } from '../ui/parts.tsx';
import { showDrain, showInstance } from './dialogs.tsx';
import { Drawn } from './drawn.tsx';
import { type Cell, fieldOf, riverShapes } from './river-picture.ts';
import { isAway } from './sums.ts';
import { foldedLanes } from './folded.ts';
import { endWord, STATE_ICON } from './words.ts';

/** The time that the pointer or the keyboard is at; `undefined`: now. */
const cursor = signal<number | undefined>(undefined);

function binAt(at: number | undefined): Bin | undefined {
  if (at === undefined) return undefined;
  return bins.value.findLast((bin) => bin.at <= at) ?? bins.value[0];
}

function stateWords({ instance, goneAt }: Lane): string {
  const { state, since, startedAt, end } = instance;
  switch (state) {
    case 'serving': {
      const up = startedAt ?? since;
      return up === undefined ? 'serving' : `serving, up ${span(now.value - up)}`;
    }
    case 'silent':
      return 'no answer';
    case 'gone':
      return `${endWord(end)} ${goneAt === undefined ? '' : `${span(now.value - goneAt)} ago`}`;
    case 'joining':
    case 'draining':
      return state;
  }
}

function Gauge({ share }: { share: number }) {
  return (
    <svg class="gauge" viewBox="0 0 48 6" aria-hidden="true">
      <path class="all" d="M0 3h48" />
      <path class="used" d={`M0 3h${(Math.min(1, share) * 48).toFixed(1)}`} />
    </svg>
  );
}

/** Figures of now, or of the time under the cursor. */
function Figures({ lane, then }: { lane: Lane; then: LaneBin | undefined }) {
  const { instance, name } = lane;
  const isGone = instance.state === 'gone' && then === undefined;
  const latest = bins.value.at(-1)?.lanes.get(name);
  const of = then ?? latest;
  const shown = isGone ? undefined : then === undefined ? instance.sessions : then.sessions;
  const calls = then === undefined ? rateOf(bins.value, name) : then.calls;
  const isCounted = instance.count !== undefined;
  return (
    <>
      <td class="num">
        <span class="big">{count(shown)}</span>
        <span class="delta">{of !== undefined && of.moved > 0 && !isGone ? `${count(of.moved)} moved` : ''}</span>
      </td>
      <td class="num one">{isGone || !isCounted ? NONE : count(calls)}</td>
      <td class="num one opt">{isGone ? NONE : ms(of?.loopMs)}</td>
      <td class="num one opt">
        {isGone || of?.memory === undefined
          ? NONE
          : [<Gauge key="gauge" share={of.memory} />, ` ${percent(of.memory, 1)}`]}
      </td>
      <td class="num one opt">{isGone || then !== undefined ? NONE : ms(instance.leaseMs)}</td>
    </>
  );
}

function Row({ lane, at }: { lane: Lane; at: Bin | undefined }) {
  const { name, instance } = lane;
  const owned = `#/sessions?q=${encodeURIComponent(`owner:${word(name)}`)}`;
  return (
    <tr class={instance.state}>
      <td>
        <a class="name" href={owned} title={name}>
          {name}
        </a>
        <span class="state">
          <Icon name={STATE_ICON[instance.state]} />
          {stateWords(lane)}
        </span>
      </td>
      <td class="lane" />
      <Figures lane={lane} then={at?.lanes.get(name)} />
      <td class="num">
        <Menu
          label={`Actions on ${name}`}
          items={[
            { label: 'Details', run: () => showInstance(lane) },
            { label: `Sessions of ${name}`, run: () => go(owned) },
            ...(instance.state === 'serving' ? [{ label: 'Drain…', run: () => showDrain(instance) }] : []),
          ]}
        />
      </td>
    </tr>
  );
}

function StoreRow({ at }: { at: Bin | undefined }) {
  const counts = fleet.value?.store.counts;
  const left = at === undefined ? leftIn(counts) : at.left;
  const hibernated = at === undefined ? (counts?.hibernated ?? counts?.stored) : at.hibernated;
  const away = at?.away ?? isAway();
  return (
    <tr class={away ? 'storerow away' : 'storerow'}>
      <td>
        <span class="name">Store, {hello.value?.store ?? NONE}</span>
        <span class="state">
          <Icon name={away ? 'gone' : 'serving'} />
          {away ? 'does not answer' : 'answers'}
        </span>
      </td>
      <td class="lane" />
      <td class="txt" colspan={3}>
        {left !== undefined && left > 0 && <span class="c-moved">{count(left)} for their next request</span>}
        {left !== undefined && left > 0 && <br class="one" />}
        <span class="sub">
          {' '}
          {count(hibernated)} {counts !== undefined && left === undefined ? 'stored' : 'hibernated'}
        </span>
        {counts !== undefined && now.value - counts.at > 5_000 && (
          <span class="dim counted">, counted {span(now.value - counts.at)} ago</span>
        )}
      </td>
      <td class="one opt" colspan={3} />
    </tr>
  );
}

const COLUMNS = [
  ['Sessions', 'num w-num'],
  ['Requests/s', 'num w-num one'],
  ['Loop, p99', 'num w-num one opt'],
  ['Memory', 'num w-mem one opt'],
  ['Lease', 'num w-num one opt'],
] as const;

/** The lane cells, measured when their number or the width changes: never for a change of values. */
function useCells(key: string) {
  const box = useRef<HTMLDivElement>(null);
  const [cells, setCells] = useState<readonly Cell[]>([]);
  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return;
    const measure = () => {
      const base = element.getBoundingClientRect();
      const found = [...element.querySelectorAll('td.lane')].map((cell) => {
        const { left, top, width, height } = cell.getBoundingClientRect();
        return { x: left - base.left, y: top - base.top, wide: width, tall: height };
      });
      setCells(found);
    };
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, [key]);
  return { box, cells, narrow: (box.current?.clientWidth ?? 900) < 600 };
}

function Picture({ cells, narrow, shown }: { cells: readonly Cell[]; narrow: boolean; shown: readonly Lane[] }) {
  const shapes = riverShapes({ cells, narrow, lanes: shown, bins: bins.value, now: now.value, cursor: cursor.value });
  const field = fieldOf(cells);
  return (
    <svg class="rivers pic" aria-hidden="true">
      {field !== undefined && (
        <>
          <clipPath id="river-clip">
            <rect x={field.x0} y={0} width={Math.max(0, field.width + 1)} height={field.bottom + 30} />
          </clipPath>
          <g clip-path="url(#river-clip)">
            <Drawn shapes={shapes} />
          </g>
        </>
      )}
    </svg>
  );
}

const STEPS: Readonly<Record<string, number>> = {
  ArrowLeft: -1000,
  ArrowRight: 1000,
  PageUp: -10_000,
  PageDown: 10_000,
  Home: -WINDOW_MS,
  End: WINDOW_MS,
  Escape: WINDOW_MS,
};

function setCursor(at: number | undefined): void {
  cursor.value = at === undefined || at >= now.peek() ? undefined : Math.max(now.peek() - WINDOW_MS, at);
}

/** The time in the picture is a slider: for pointers and keys. */
function Scrub({ cells, narrow }: { cells: readonly Cell[]; narrow: boolean }) {
  const field = fieldOf(cells);
  const store = cells.at(-1);
  if (field === undefined || store === undefined) return null;
  const top = narrow ? store.y : field.top;
  const bin = binAt(cursor.value);
  const spoken =
    bin === undefined
      ? 'now'
      : `${clock(bin.at)}: ${[...bin.lanes].map(([name, lane]) => `${name} ${lane.state === 'gone' ? 'gone' : count(lane.sessions)}`).join(', ')}, store ${count(bin.hibernated === undefined ? undefined : bin.hibernated + (bin.left ?? 0))}`;
  return (
    <div
      class="scrub"
      role="slider"
      tabindex={0}
      aria-label="Time in the picture"
      aria-valuemin={-WINDOW_MS / 1000}
      aria-valuemax={0}
      aria-valuenow={cursor.value === undefined ? 0 : Math.round((cursor.value - now.value) / 1000)}
      aria-valuetext={spoken}
      style={{ left: `${field.x0}px`, width: `${field.width}px`, top: `${top}px`, height: `${field.bottom - top}px` }}
      onPointerMove={(event) => {
        const { left, width } = event.currentTarget.getBoundingClientRect();
        setCursor(now.peek() - WINDOW_MS * (1 - (event.clientX - left) / width));
      }}
      onPointerLeave={() => setCursor(undefined)}
      onBlur={() => setCursor(undefined)}
      onKeyDown={(event) => {
        const step = STEPS[event.key];
        if (step === undefined) return;
        setCursor((cursor.peek() ?? now.peek()) + step);
        event.preventDefault();
      }}
    />
  );
}

const Legend = ({ name, label, path }: { name: string; label: string; path: string }) => (
  <span>
    <svg viewBox="0 0 18 10" aria-hidden="true">
      <path class={name} d={path} />
    </svg>
    {label}
  </span>
);

export function River() {
  const { shown, quiet } = foldedLanes(lanes.value);
  const { box, cells, narrow } = useCells(`${shown.map(({ name }) => name).join()} ${quiet}`);
  const at = binAt(cursor.value);
  return (
    <section aria-label="Instances">
      <div class="river-bar">
        <h2 class="grow">Where the sessions are, last minute</h2>
        <div class="legend pic">
          <Legend name="own" label="live here" path="M0 1h18v8H0z" />
          <Legend name="got" label="continued after a stop" path="M0 1h18v8H0z" />
          <Legend name="rest" label="hibernated" path="M0 1h18v8H0z" />
          <Legend name="waits" label="calls wait" path="M2 9V3M6 9V5M10 9V1M14 9V4" />
        </div>
      </div>
      <div class={shown.length >= 10 ? 'river thin' : 'river'} ref={box}>
        <Picture cells={cells} narrow={narrow} shown={shown} />
        <table>
          <thead>
            <tr>
              <th class="w-name" scope="col">
                Instance
              </th>
              <th scope="col">
                <span class="sr">Sessions over time</span>
              </th>
              {COLUMNS.map(([label, name]) => (
                <th key={label} class={name} scope="col">
                  {label}
                </th>
              ))}
              <th class="w-act" scope="col">
                <span class="sr">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {shown.map((lane) => (
              <Row key={lane.name} lane={lane} at={at} />
            ))}
            {quiet > 0 && (
              <tr class="quietrow">
                <td colspan={8}>{quiet} more instances serve and nothing happens there</td>
              </tr>
            )}
            <StoreRow at={at} />
          </tbody>
        </table>
        <div class="axis" />
        <Scrub cells={cells} narrow={narrow} />
      </div>
    </section>
  );
}
