/** The tasks of the deployment that have not ended, as the page lists them, and what their owners know of them. */
import { keptText, sessionHash } from '../../base/shown.ts';
import type { Records, StoredRecord } from '../../stores/store.ts';
import { MESSAGE_FIELD, readHead, readSettings } from '../../tasks/task-record.ts';
import { questionStates, taskSummary } from '../../tasks/task-summary.ts';
import type { RunningTaskRow, TaskPage, TaskRow } from '../wire-pages.ts';
import type { DashboardParts } from './parts-of-endpoint.ts';
import { StoredRows } from './stored-rows.ts';

/** A record of a task may have 512 KiB: its call, questions and answers. */
const BOUNDS = { part: 100, most: 2_000, bytes: 1_000 };
const ASKS = 3;
const RUNNING = 1_000;
const STEPS_NOW = 8;

export class TaskRows extends StoredRows {
  protected readonly purpose = 'cursors of tasks of the dashboard';

  constructor(parts: DashboardParts) {
    super(parts, BOUNDS);
  }

  protected get records(): Records {
    return this.parts.store.tasks;
  }

  protected knownId(hash: string): string | undefined {
    for (const { id } of this.parts.tasks?.running() ?? []) if (sessionHash(id) === hash) return id;
    return undefined;
  }

  protected async pageOf(records: readonly StoredRecord[], nextCursor: string | undefined): Promise<TaskPage> {
    const at = this.parts.options.timeProvider.now();
    const alive = await this.parts.instance.living();
    const tasks = records.map((record) => rowOf(record, alive));
    return { at, tasks, ...(nextCursor !== undefined && { nextCursor }) };
  }
}

function rowOf(record: StoredRecord, alive: ReadonlySet<string>): TaskRow {
  const open = questionStates(record).filter(({ answered }) => !answered);
  const asks = open.slice(0, ASKS).map(({ name }) => keptText(name));
  return { ...taskFields(record, alive), ...(asks.length > 0 && { asks }) };
}

export function taskFields(record: StoredRecord, alive: ReadonlySet<string>): TaskRow {
  const { hash, tool, status, owner, userName, attempt, createdAt, updatedAt, expiresAt } = taskSummary(record, alive);
  const { state, steps } = readHead(record.head) ?? {};
  const maxAttempts = readSettings(record.body)?.maxAttempts;
  const message = record.fields[MESSAGE_FIELD];
  return {
    hash,
    ...(tool !== undefined && { tool: keptText(tool) }),
    status,
    ...(state !== undefined && { state }),
    ...(owner !== undefined && { owner }),
    ...(userName !== undefined && { userName: keptText(userName) }),
    ...(attempt !== undefined && { attempt }),
    ...(maxAttempts !== undefined && { maxAttempts }),
    createdAt,
    updatedAt,
    expiresAt,
    ...(owner === undefined && steps !== undefined && { steps }),
    ...(message !== undefined && { message: keptText(message) }),
  };
}

/** Tasks whose handlers run at this instance. `of`: the id of one; `''`: all. */
export function runningTasks({ tasks }: DashboardParts, of = ''): RunningTaskRow[] {
  const running: RunningTaskRow[] = [];
  for (const { id, steps } of tasks?.running() ?? []) {
    if (running.length >= RUNNING) break;
    if (of !== '' && of !== id) continue;
    const now = [...steps.running].slice(0, STEPS_NOW).map(([name, begin]) => ({ name: keptText(name), begin }));
    running.push({ hash: sessionHash(id), steps: steps.count, now });
  }
  return running;
}
