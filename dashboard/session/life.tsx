/** A session as one line through the lanes of its owners. */
import type { TimelineRow } from '../../src/dashboard/wire-pages.ts';
import { nameOf } from '../state/model.ts';
import { Drawn } from '../fleet/drawn.tsx';
import { d, Picture, type Shape } from '../fleet/shapes.ts';
import { useWidth } from '../ui/width.ts';
import { drawTicks, timeScale, type TimeScale } from './time-scale.ts';
import type { Place } from './owners.ts';

const TALL = 22;
/** The latest: a session may have had more. */
const LANES = 6;

export interface LifeData {
  readonly places: readonly Place[];
  readonly timeline: readonly TimelineRow[];
  readonly now: number;
}

interface Frame extends TimeScale {
  readonly y: (instance: string | undefined) => number;
  readonly narrow: boolean;
}

function lanesOf(places: readonly Place[]): string[] {
  const all = places.flatMap(({ instance }) => instance ?? []);
  return [...new Set(all.toReversed())].slice(0, LANES).reverse();
}

const shorter = (text: string, most: number): string => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

/** Calls as ticks above the line of their owner. */
function drawCalls(picture: Picture, { timeline, places }: LifeData, { x, y }: Frame): void {
  for (const row of timeline) {
    if (row.kind !== 'message') continue;
    const place = places.find(({ from, to = Infinity }) => row.at >= from - 500 && row.at <= to + 500);
    if (place?.instance === undefined) continue;
    picture.path((row.waitedMs ?? 0) > 0 ? 'tick w' : 'tick', d`M${x(row.at)} ${y(place.instance) - 7}v5`);
  }
}

function drawLine(picture: Picture, places: readonly Place[], { x, y, narrow, now }: Frame): void {
  places.forEach((place, k) => {
    const end = x(place.to ?? now);
    const from = k === 0 ? x(place.from) : Math.min(x(place.from) + 10, end);
    const line = y(place.instance);
    picture.path(place.instance === undefined ? 'thread away' : 'thread', d`M${from} ${line}H${end}`);
    const next = places[k + 1];
    if (next !== undefined) {
      const to = y(next.instance);
      picture.path('mv', d`M${end} ${line}C${end + 12} ${line} ${end - 2} ${to} ${end + 10} ${to}`);
      if (place.isLost) picture.path('x', d`M${end - 4} ${line - 4}l8 8m0 -8l-8 8`);
    }
    // A word that is wider than its part would cover the one before.
    const room = end - from;
    if (!narrow && place.left !== '' && room > place.left.length * 6.5)
      picture.write(
        end - 6,
        line + (next !== undefined && line > y(next.instance) ? 14 : -7),
        place.left,
        place.isLost ? 'tb' : 't',
        'end',
      );
  });
}

function lifeShapes(data: LifeData, width: number): { shapes: readonly Shape[]; height: number } {
  const { places, now } = data;
  const narrow = width < 560;
  const lanes = lanesOf(places);
  const picture = new Picture();
  const left = narrow ? 84 : 116;
  const scale = timeScale(left, width, Math.min(...places.map(({ from }) => from)), now);
  const y = (instance: string | undefined): number => {
    const k = instance === undefined ? lanes.length : lanes.indexOf(instance);
    return 14 + (k < 0 ? lanes.length : k) * TALL;
  };
  const frame = { ...scale, y, narrow };
  for (const [k, name] of [...lanes.map((id) => nameOf(id) ?? id), 'in the store'].entries()) {
    picture.path('grid', `M${left} ${14 + k * TALL}H${width}`);
    picture.write(0, 18 + k * TALL, shorter(name, narrow ? 13 : 18));
  }
  drawLine(picture, places, frame);
  drawCalls(picture, data, frame);
  const height = 14 + (lanes.length + 1) * TALL + 14;
  drawTicks(picture, scale, height - 4);
  return { shapes: picture.shapes, height };
}

function spoken(places: readonly Place[]): string {
  const parts = places.map(({ instance, left }) => {
    const where = instance === undefined ? 'in the store' : (nameOf(instance) ?? instance);
    return left === '' ? where : `${where}, ${left}`;
  });
  return `Its owners: ${parts.join('; ')}.`;
}

export function Life(data: LifeData) {
  const { box, width } = useWidth();
  const drawn = width === 0 || data.places.length === 0 ? undefined : lifeShapes(data, width);
  return (
    <div class="lifebox">
      <div ref={box}>
        {drawn !== undefined && (
          <svg
            class="pic"
            role="img"
            aria-label={spoken(data.places)}
            viewBox={`0 0 ${width} ${drawn.height}`}
            height={drawn.height}
          >
            <Drawn shapes={drawn.shapes} />
          </svg>
        )}
        {data.places.length === 0 && <p class="sub">Where it was is not known: no instance has kept its events.</p>}
      </div>
    </div>
  );
}
