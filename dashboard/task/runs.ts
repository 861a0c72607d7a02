/** The runs of a task as the page shows them: how each ended, and what followed. */
import type { TaskBar, TaskDetail, TaskRunSpan } from '../../src/dashboard/wire-pages.ts';

export interface ShownRun extends TaskRunSpan {
  /** ms since 1970: its end, else the begin of the next one, else when that was seen. `undefined`: it is not over. */
  readonly until: number | undefined;
  /** It ended without a word: its process died, or lost its lease. */
  readonly isCut: boolean;
  /** The run before it was cut. */
  readonly isTakeOver: boolean;
  readonly bars: readonly TaskBar[];
}

export function runsOf({ runs = [], bars = [], status, at }: TaskDetail): readonly ShownRun[] {
  return runs.map((run, k) => {
    const next = runs[k + 1];
    const before = runs[k - 1];
    return {
      ...run,
      until: run.end ?? next?.begin ?? (status === 'orphaned' ? at : undefined),
      isCut: run.end === undefined && (next !== undefined || status === 'orphaned'),
      isTakeOver: before !== undefined && before.end === undefined,
      bars: bars.filter((bar) => bar.run === run.run),
    };
  });
}

/** Since when no process holds it; `undefined`: one does. */
export const idleSince = ({ owner, status, updatedAt }: TaskDetail, runs: readonly ShownRun[]): number | undefined =>
  owner !== undefined && status !== 'orphaned' ? undefined : (runs.at(-1)?.end ?? updatedAt);

export const runName = ({ attempt, round }: TaskRunSpan): string =>
  `Attempt ${attempt}${round > 1 ? `, round ${round}` : ''}`;

export const openQuestions = ({ questions = [] }: TaskDetail) => questions.filter(({ answered }) => !answered);
