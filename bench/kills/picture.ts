/** `docs/images/kills.svg`: what the recorded story cost the clients of each side. */
import type { Outcome, Recorded } from './outcome.ts';

const [ROW, TOP, BAR] = [30, 84, 18];
/** Where the bars of a panel begin, and how long the longest is. */
const PANELS = [190, 470] as const;
const LONGEST = 190;
const WIDTH = 720;

/** Calls without an answer that their client could use, of a hundred. */
export const badOfHundred = ({ calls, failed, hung }: Outcome): number =>
  (100 * (failed + hung)) / calls;

const rounded = (of: number): string => (of === 0 || of >= 10 ? of.toFixed(0) : of.toFixed(1));

function bars(outcomes: readonly Outcome[], of: (one: Outcome) => number, x: number): string[] {
  const most = Math.max(1, ...outcomes.map(of));
  return outcomes.map((one, n) => {
    const [long, y] = [(LONGEST * of(one)) / most, TOP + n * ROW];
    const side = one.title.startsWith('sojourn') ? 'ours' : 'other';
    return [
      `<rect class="${side}" x="${x}" y="${y}" width="${long.toFixed(1)}" height="${BAR}" rx="2"/>`,
      `<text x="${(x + long + 8).toFixed(1)}" y="${y + 14}">${rounded(of(one))}</text>`,
    ].join('');
  });
}

export function pictureOf({ outcomes, settings }: Recorded): string {
  const height = TOP + outcomes.length * ROW + 14;
  const story = `A deploy, ${settings['kills']} kills, an outage: what ${settings['clients']} clients lost`;
  const names = outcomes.map(
    ({ title }, n) => `<text x="178" y="${TOP + n * ROW + 14}" text-anchor="end">${title}</text>`,
  );
  const facts = outcomes.map(
    (one) =>
      `${one.title}: ${one.sessionsLost} sessions, ${rounded(badOfHundred(one))} of 100 calls.`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-labelledby="t d">
<title id="t">${story}</title>
<desc id="d">${facts.join(' ')}</desc>
<style>
.panel { fill: #ffffff; stroke: #e2e5ea }
text { font-family: system-ui, sans-serif; font-size: 13px; fill: #4a5361; font-variant-numeric: tabular-nums }
.h { font-size: 17px; font-weight: 600; fill: #14181f }
.l { font-weight: 600; fill: #14181f }
.ours { fill: #0a62b8 }
.other { fill: #8791a0 }
@media (prefers-color-scheme: dark) {
.panel { fill: #0f1217; stroke: #242a34 }
text { fill: #adb5c1 }
.h, .l { fill: #e7eaef }
.ours { fill: #68acf5 }
.other { fill: #667282 }
}
</style>
<rect class="panel" x=".5" y=".5" width="${WIDTH - 1}" height="${height - 1}" rx="10"/>
<text class="h" x="24" y="36">${story}</text>
<text class="l" x="${PANELS[0]}" y="68">sessions lost</text>
<text class="l" x="${PANELS[1]}" y="68">of 100 calls, failed or hung</text>
${[...names, ...bars(outcomes, (one) => one.sessionsLost, PANELS[0]), ...bars(outcomes, badOfHundred, PANELS[1])].join('\n')}
</svg>
`;
}
