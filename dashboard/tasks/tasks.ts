/**
 * The tasks that have not ended: a scan of the store every 5 s, and every second what their owners know. Under the
 * pointer and the focus rows keep their places: there a scan changes values, and counts what is new.
 */
import { batch, signal } from '@preact/signals';
import type { RunningTaskRow, RunningTasks, TaskPage, TaskRow } from '../../src/dashboard/wire-pages.ts';
import { get } from '../net/api.ts';

/** One scan reads so many; "Scan on" reads as many more. */
const MOST = 2_000;

export interface ShownTask extends TaskRow {
  /** The scan no longer has it. */
  readonly isOver?: true;
}

export interface TaskScan {
  /** When it began, by the clock of the server. */
  readonly at: number;
  readonly rows: readonly ShownTask[];
  /** The store has more. */
  readonly hasMore: boolean;
}

export const tasks = signal<TaskScan | undefined>(undefined);
export const taskError = signal<string | undefined>(undefined);
/** Tasks that are not among the rows yet. */
export const newTasks = signal(0);
/** What owners say, by hash. */
export const running = signal<ReadonlyMap<string, RunningTaskRow>>(new Map());
let limit = MOST;

const isHeld = (): boolean => document.querySelector('.vlist:is(:hover, :focus)') !== null;

async function scanned(): Promise<TaskScan> {
  const rows = new Map<string, TaskRow>();
  let at: number | undefined;
  let cursor: string | undefined;
  do {
    const query = cursor === undefined ? '' : `?cursor=${encodeURIComponent(cursor)}`;
    const page = await get<TaskPage>(`tasks${query}`);
    at ??= page.at;
    for (const row of page.tasks) rows.set(row.hash, row);
    cursor = page.nextCursor;
  } while (cursor !== undefined && rows.size < limit);
  return { at: at ?? Date.now(), rows: [...rows.values()], hasMore: cursor !== undefined };
}

export async function loadTasks(keepsRows = isHeld()): Promise<void> {
  try {
    const found = await scanned();
    batch(() => {
      const before = tasks.peek();
      tasks.value = keepsRows && before !== undefined && before.rows.length > 0 ? merged(before, found) : found;
      newTasks.value = found.rows.length - tasks.value.rows.filter(({ isOver }) => isOver !== true).length;
      taskError.value = undefined;
    });
  } catch (error) {
    // The rows of the last scan stay.
    taskError.value = error instanceof Error ? error.message : String(error);
  }
}

function merged(before: TaskScan, found: TaskScan): TaskScan {
  const byHash = new Map(found.rows.map((row) => [row.hash, row]));
  const rows = before.rows.map((row) => byHash.get(row.hash) ?? { ...row, isOver: true as const });
  return { ...found, rows };
}

export function scanOn(): Promise<void> {
  limit += MOST;
  return loadTasks(false);
}

/** The scan says why the server cannot be reached. */
export async function loadRunning(): Promise<void> {
  const { tasks: all } = await get<RunningTasks>('running').catch(() => ({ tasks: [] }));
  running.value = new Map(all.map((one) => [one.hash, one]));
}
