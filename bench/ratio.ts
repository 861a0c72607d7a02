/** A short run beside the official SDK, compared with the recorded ratios. Fails only on a gross loss. */
import { readFileSync } from 'node:fs';
import { ratioOf } from './report.ts';
import { type RoundsOptions, runRounds } from './rounds.ts';
import { formatTable } from '../src/cli/prove/table.ts';
import { selectWorks } from './works.ts';

/** CPU per request of the official SDK over ours, by major version of Node.js. */
type Recorded = Readonly<Record<string, number>>;

/** The machine differs and the run takes seconds, so only less than half of the recorded ratio counts as a loss. */
const LOST_BELOW = 0.5;

/** Resolves with whether every ratio was kept. */
export async function compareRecorded(
  connections: number,
  options: RoundsOptions,
  major: string,
): Promise<boolean> {
  const recorded = JSON.parse(
    readFileSync(new URL('recorded.json', import.meta.url), 'utf8'),
  ) as Record<string, Recorded>;
  const rows: string[][] = [];
  let isKept = true;
  for (const [id, { [major]: expected }] of Object.entries(recorded)) {
    if (expected === undefined)
      throw new Error(`bench/recorded.json has no ratio of ${id} for Node ${major}`);
    const [work] = selectWorks([id], ['ours', 'official']);
    const [ours, official] = work === undefined ? [] : await runRounds(work, connections, options);
    if (ours === undefined || official === undefined)
      throw new Error(`${id} has no official side to compare with`);
    const { median } = ratioOf(official, ours);
    // Written so that a ratio that is not a number counts as a loss.
    const kept = median >= expected * LOST_BELOW;
    isKept &&= kept;
    rows.push([
      id,
      `${median.toFixed(2)}×`,
      `${expected}×`,
      kept ? 'kept' : `lost: below ${LOST_BELOW * 100} %`,
    ]);
  }
  console.log(formatTable([['official ÷ ours', 'now', 'recorded', ''], ...rows]));
  return isKept;
}
