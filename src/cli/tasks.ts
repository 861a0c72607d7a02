/**
 * `sojourn tasks ls | show | cancel`: reads the tasks of a deployment in its store, and ends one. The command is not an
 * instance and sends no message: an instance finds that its task has ended when it renews it.
 */
import type { EndpointStore } from '../endpoint/endpoint-store.ts';
import { resolveOptions } from '../options/resolve.ts';
import { pagesOf } from '../base/pages.ts';
import { sessionHash } from '../base/shown.ts';
import { systemRandom } from '../base/system.ts';
import { isEnded, type StoredRecord } from '../stores/store.ts';
import { readHead } from '../tasks/task-record.ts';
import { TaskStore } from '../tasks/task-store.ts';
import { taskSummary } from '../tasks/task-summary.ts';
import type { Terminal } from './confirmation.ts';
import { Failure } from './failure.ts';
import { idOf, type StoreRequest, withOpenStore } from './opened-store.ts';
import { json as jsonLine, printable } from './session-printout.ts';
import {
  endedTask,
  noTasks,
  taskCountLine,
  taskDetails,
  taskEnd,
  taskLine,
  taskRow,
  taskTableHead,
  type TaskSurroundings,
} from './task-printout.ts';

export interface TasksRequest extends StoreRequest {
  readonly what: 'ls' | 'show' | 'cancel';
  /** For `show` and `cancel`: the id of a task, or while it lives the beginning of its hash. */
  readonly id: string;
  readonly json: boolean;
  /** Ids are printed: where a task has no user, its id is a credential. */
  readonly ids: boolean;
  /** `cancel` does not ask. */
  readonly yes: boolean;
  /** `ls`: name or key. */
  readonly user?: string | undefined;
}

const PAGE = 100;

/** Resolves with the exit code. */
export function tasks(request: TasksRequest, terminal: Terminal): Promise<number> {
  return withOpenStore(request, (store) => run[request.what](store, request, terminal));
}

type Run = (store: EndpointStore, request: TasksRequest, terminal: Terminal) => Promise<void>;

const run: Readonly<Record<TasksRequest['what'], Run>> = {
  async ls(store, { json, ids, user }, { out }) {
    const counts = noTasks();
    if (!json) out(taskTableHead(ids));
    for await (const { records } of pagesOf((cursor) => store.tasks.list(PAGE, cursor))) {
      // Read again for each page, because an instance may die between two pages.
      const alive = new Set((await store.instances.list()).map(({ id }) => id));
      const found = records.map((record) => taskSummary(record, alive));
      const wanted = found.filter((task) => user === undefined || task.user === user || task.userName === user);
      for (const { status } of wanted) counts[status] += 1;
      out(wanted.map((task) => (json ? taskLine(task, ids) : taskRow(task, Date.now(), ids))).join(''));
    }
    if (!json) out(taskCountLine(counts));
  },

  async show(store, { id, json, ids }, { out }) {
    const found = await read(store, id);
    out(isEnded(found) ? endedTask(found, json, ids) : taskDetails(found, await around(store, found), json, ids));
  },

  async cancel(store, { id: given, json, ids, yes }, { out, confirms }) {
    const found = await read(store, given);
    const { id } = found;
    if (isEnded(found)) throw new Failure(`this task has already ended: ${taskEnd(found)}`);
    const surroundings = await around(store, found);
    const question = `${taskDetails(found, surroundings, false, ids)}It ends as cancelled, and nothing undoes that. Cancel it? [y/N] `;
    if (!yes && !(await confirms(question))) throw new Failure('nothing was cancelled: answer y, or give --yes');
    const ended = new TaskStore({ options: resolveOptions({ logger: false }), store, random: systemRandom });
    const owner = await ended.end(id, { status: 'cancelled' });
    if (owner === undefined)
      throw new Failure('the task has ended since, so nothing was cancelled: `tasks show` says how it ended');
    const runs = owner === null ? undefined : await store.instances.read(owner);
    if (json)
      return out(
        jsonLine({
          ...(ids && { id }),
          hash: sessionHash(id),
          status: 'cancelled',
          ...(runs !== undefined && { owner: runs.id }),
        }),
      );
    out(`cancelled ${ids ? printable(id) : sessionHash(id)}\n`);
    if (runs !== undefined) out(`instance ${runs.id} runs it, and stops it within 25 s\n`);
    else if (readHead(found.head)?.state === 'detached') out('what works on it elsewhere is not told\n');
  },
};

/** @throws Failure where there is none. One whose time is over has nothing to show. */
async function read(store: EndpointStore, given: string) {
  const found = await store.tasks.read(await idOf('tasks', store.tasks, given));
  if (found === undefined || (isEnded(found) && found.outcome === ''))
    throw new Failure(
      `there is no task ${JSON.stringify(given)} in this store, or its time is over; set --name to the name of its endpoint`,
    );
  return found;
}

async function around(store: EndpointStore, { id, owner }: StoredRecord): Promise<TaskSurroundings> {
  const lease = owner === null ? undefined : await store.instances.read(owner);
  const steps = await store.steps.read(id);
  return { owner: lease, steps: steps === undefined || isEnded(steps) ? undefined : steps, now: Date.now() };
}
