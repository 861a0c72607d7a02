/** Six figures of now, each with its last hour. The name of a figure opens its hour large. */
import type { HourBin } from '../../src/dashboard/wire.ts';
import { count, ms, NONE } from '../format.ts';
import { fleet, hello, hour, now, stops } from '../state/model.ts';
import { showDialog } from '../ui/dialog.tsx';
import { LargeChart } from './large-chart.tsx';
import { isAway, rate, storeTotal, total } from './sums.ts';

const HOUR_MS = 3_600_000;
/** A deployment that has just started has a few points: they need not be at the edge. */
const LEAST_MS = 300_000;

type Key = Exclude<keyof HourBin, 'at'>;

interface Described {
  readonly label: string;
  readonly unit?: string;
  readonly key: Key;
  /** How a value of the hour is written. */
  readonly show: (value: number | undefined) => string;
  readonly value: () => string;
  readonly more: () => string;
}

const longest = (): number => Math.max(0, ...stops.value.map(({ longestMs }) => longestMs));

function sessionsMore(): string {
  const inStore = storeTotal();
  return `${count(total('sessions'))} live, ${count(inStore)} in the store`;
}

function requestsMore(): string {
  const [all, without] = [rate(), rate('sessionless')];
  if (all === undefined || without === undefined) return 'at all instances';
  return `${count(all - without)} in sessions, ${count(without)} without`;
}

function sessionsNow(): string {
  const live = total('sessions');
  return live === undefined ? NONE : count(live + (storeTotal() ?? 0));
}

const FIGURES: readonly Described[] = [
  { label: 'Sessions', key: 'sessions', show: count, value: sessionsNow, more: sessionsMore },
  { label: 'Requests', unit: '/s', key: 'requests', show: count, value: () => count(rate()), more: requestsMore },
  {
    label: 'Answered in, p50',
    key: 'p50Ms',
    show: ms,
    value: () => ms(fleet.value?.p50Ms),
    more: () => `p99 ${ms(fleet.value?.p99Ms)}, last minute`,
  },
  {
    label: 'Waiting now',
    key: 'waiting',
    show: count,
    value: () => count(total('waiting')),
    more: () => `longest ${longest() === 0 ? NONE : ms(longest())}, last hour`,
  },
  {
    label: 'Refused',
    key: 'refused',
    show: count,
    value: () => count(fleet.value?.refused),
    more: () => {
      const reasons = fleet.value?.reasons;
      return `in the last hour${reasons ? `, ${reasons} ${reasons === 1 ? 'reason' : 'reasons'}` : ''}`;
    },
  },
  {
    label: 'Store, p50',
    key: 'storeP50Ms',
    show: ms,
    value: () => (isAway() ? 'away' : ms(fleet.value?.store.p50Ms)),
    more: () => `p99 ${ms(fleet.value?.store.p99Ms)}, ${hello.value?.store ?? NONE}`,
  },
];

const [WIDE, TALL] = [100, 24];

/** The time that is drawn: an hour, or what there is of it. */
const drawnMs = (until: number): number => Math.min(HOUR_MS, Math.max(LEAST_MS, until - (hour.value[0]?.at ?? until)));

/** A line with gaps where a bin has no value. */
function linePath(bins: readonly HourBin[], key: Key, until: number): string {
  const width = drawnMs(until);
  const values = bins.flatMap((bin) => bin[key] ?? []);
  const most = Math.max(1e-9, ...values) * 1.1;
  let path = '';
  let before = -Infinity;
  for (const bin of bins) {
    const value = bin[key];
    if (value === undefined) continue;
    const x = (WIDE * (1 - (until - bin.at) / width)).toFixed(1);
    path += `${bin.at - before > 95_000 ? 'M' : 'L'}${x} ${(TALL - (value / most) * TALL).toFixed(1)}`;
    before = bin.at;
  }
  return path;
}

function Spark({ of }: { of: Key }) {
  // An interruption may be newer than the last bin.
  const until = Math.max(hour.value.at(-1)?.at ?? now.peek(), stops.value[0]?.at ?? 0);
  const width = drawnMs(until);
  const marks = stops.value.filter(({ at }) => until - at < width);
  return (
    <svg viewBox={`0 0 ${WIDE} ${TALL}`} preserveAspectRatio="none" aria-hidden="true">
      {marks.map(({ id, at }) => (
        <path key={id} class="lev" d={`M${(WIDE * (1 - (until - at) / width)).toFixed(1)} 0V${TALL}`} />
      ))}
      <path class="ln" d={linePath(hour.value, of, until)} />
    </svg>
  );
}

function Figure({ label, unit, key, show, value, more }: Described) {
  const enlarge = () =>
    showDialog({
      title: `${label}, last hour`,
      no: 'Close',
      wide: true,
      body: () => <LargeChart of={key} show={show} />,
    });
  return (
    <div>
      <dt>
        <button type="button" onClick={enlarge}>
          {label}
        </button>
      </dt>
      <dd>
        {value()}
        {unit !== undefined && <small> {unit}</small>}
      </dd>
      <dd class="more">{more()}</dd>
      <dd class="chart">
        <Spark of={key} />
      </dd>
    </div>
  );
}

export const Figures = () => <dl class="figures">{FIGURES.map((figure) => Figure(figure))}</dl>;
