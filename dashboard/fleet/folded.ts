/** From forty lanes on, those where something happens come first, and quiet ones share one row. */
import type { Lane } from '../state/lanes.ts';
import { bins } from '../state/model.ts';

const FOLD = 40;
const BUSIEST = 12;
const ORDER = { silent: 0, gone: 1, draining: 2, joining: 3, serving: 4 };

export function foldedLanes(all: readonly Lane[]): { shown: readonly Lane[]; quiet: number } {
  if (all.length < FOLD) return { shown: all, quiet: 0 };
  const latest = bins.value.at(-1);
  const isNews = ({ name, instance }: Lane): boolean => {
    const lane = latest?.lanes.get(name);
    return instance.state !== 'serving' || (lane?.waiting ?? 0) > 0 || (lane?.moved ?? 0) > 0;
  };
  const sorted = all.toSorted(
    (a, b) =>
      ORDER[a.instance.state] - ORDER[b.instance.state] || (b.instance.sessions ?? 0) - (a.instance.sessions ?? 0),
  );
  const news = sorted.filter(isNews).slice(0, FOLD);
  const busiest = sorted.filter((lane) => !isNews(lane)).slice(0, Math.max(0, BUSIEST - news.length));
  const shown = [...news, ...busiest];
  return { shown, quiet: all.length - shown.length };
}
