/** Draws the pictures of `docs/internals/performance.md` from the kept results. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { type Group, kept } from './kept.ts';

interface Chart {
  readonly id: string;
  readonly title: string;
  readonly unit: string;
  readonly digits: number;
}

const CHARTS: readonly Chart[] = [
  { id: 'stateful', title: 'tools/call on one session, 2025-06-18', unit: 'requests/s', digits: 0 },
  { id: 'modern', title: 'tools/call, 2026-07-28', unit: 'µs of CPU per request', digits: 1 },
  { id: 'deaths', title: 'The owner is killed: to the next answer', unit: 'ms', digits: 0 },
  { id: 'growth-sessions', title: 'Calls spread over live sessions', unit: 'µs of CPU per call', digits: 1 },
  { id: 'growth-tools', title: 'Servers with many tools: initialize', unit: 'µs of CPU per session', digits: 0 },
];

const WIDTH = 720;
const LABEL = 250;
const VALUE = 90;
const BAR = 20;
const GAP = 6;
const HEAD = 34;
const MARGIN = 10;

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

/** Grey is readable on any background; sojourn's bars have a colour. */
function draw({ title, unit, digits }: Chart, groups: readonly Group[]): string {
  const most = Math.max(...groups.flatMap(({ bars }) => bars.map(({ value }) => value)));
  const parts: string[] = [];
  let y = HEAD;
  for (const group of groups) {
    y += GAP;
    parts.push(`<text x="${MARGIN}" y="${y + 14}" font-weight="600">${escaped(group.title)}</text>`);
    y += BAR + GAP;
    for (const { label, value } of group.bars) {
      const width = Math.max(1, (value / most) * (WIDTH - LABEL - VALUE - 2 * MARGIN));
      const shown = value.toLocaleString('en-US', { maximumFractionDigits: digits });
      const fill = label.startsWith('ours') ? '#2f6feb' : '#8b949e';
      parts.push(
        `<text x="${LABEL}" y="${y + 14}" text-anchor="end">${escaped(label)}</text>`,
        `<rect x="${LABEL + MARGIN}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" rx="2" fill="${fill}"/>`,
        `<text x="${(LABEL + 2 * MARGIN + width).toFixed(1)}" y="${y + 14}">${shown}</text>`,
      );
      y += BAR + GAP;
    }
  }
  const height = y + MARGIN;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img"`,
    ` font-family="system-ui, sans-serif" font-size="13" fill="#57606a"><title>${escaped(`${title}, ${unit}`)}</title>`,
    `<text x="${MARGIN}" y="22" font-size="15" font-weight="600">${escaped(title)}, ${escaped(unit)}</text>`,
    ...parts,
    '</svg>\n',
  ].join('\n');
}

/** The names of the files. */
export function drawCharts(): string[] {
  const folder = new URL('../docs/images/', import.meta.url);
  mkdirSync(folder, { recursive: true });
  return CHARTS.flatMap((chart) => {
    const groups = kept(chart.id);
    if (groups.length === 0) return [];
    writeFileSync(new URL(`${chart.id}.svg`, folder), draw(chart, groups));
    return [`docs/images/${chart.id}.svg`];
  });
}
