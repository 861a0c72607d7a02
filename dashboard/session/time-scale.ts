/** A logarithmic scale of time: the newest minute is as wide as the oldest hour. */
import { span } from '../format.ts';
import type { Picture } from '../fleet/shapes.ts';

const MINUTE_MS = 60_000;
const TICKS_MIN = [5760, 1440, 480, 240, 120, 80, 40, 20, 10, 5, 1, 0];

export interface TimeScale {
  readonly x: (at: number) => number;
  readonly left: number;
  readonly width: number;
  readonly now: number;
  readonly oldestMin: number;
}

export function timeScale(left: number, width: number, since: number, now: number): TimeScale {
  const oldestMin = Math.max(1, (now - Math.min(since, now)) / MINUTE_MS);
  const scale = Math.log1p(oldestMin * 2);
  const x = (at: number): number =>
    left + (width - left - 10) * (1 - Math.log1p(Math.max(0, Math.min(oldestMin, (now - at) / MINUTE_MS)) * 2) / scale);
  return { x, left, width, now, oldestMin };
}

/** The times below the lanes. */
export function drawTicks(picture: Picture, { x, width, now, oldestMin }: TimeScale, y: number): void {
  let free = -Infinity;
  for (const minutes of TICKS_MIN) {
    if (minutes > oldestMin) continue;
    const at = x(now - minutes * MINUTE_MS);
    if (at < free || (minutes > 0 && at > width - 60)) continue;
    free = at + 60;
    const text = minutes === 0 ? 'now' : span(minutes * MINUTE_MS);
    picture.write(at, y, text, '', minutes === 0 ? 'end' : 'middle');
  }
}
