/**
 * `sojourn tasks ls | show | cancel`: reads the tasks of a deployment in its store, and ends one. The command is not an
 * instance and sends no message: an instance finds that its task has ended when it renews it.
 *
 * Payloads are left out: arguments, headers, questions, answers, recorded steps, results and the messages of errors.
 * What a task says of its progress is printed, because it is made to be shown.
 */
import { pagesOf } from '../../base/pages.ts';
import { sessionHash } from '../../base/shown.ts';
import { systemRandom } from '../../base/system.ts';
import type { EndpointStore } from '../../endpoint/endpoint-store.ts';
import { resolveOptions } from '../../options/resolve.ts';
import { type EndedRecord, isEnded, type StoredRecord } from '../../stores/store.ts';
import { MESSAGE_FIELD, readBody, readHead, readOutcome } from '../../tasks/task-record.ts';
import { TaskStore } from '../../tasks/task-store.ts';
import { errorOf, questionStates, STATUSES, taskSummary } from '../../tasks/task-summary.ts';
import { Failure } from '../failure.ts';
import type { RecordRequest } from './commands.ts';
import { idOf } from './opened-store.ts';
import { json, timestamp } from './printing.ts';
import { INDENT, isOf, liveInstances, type RecordKind, shownOf } from './record-kind.ts';
import { processOf, sizeOf } from './session-records.ts';

const PAGE = 100;

export const tasks: RecordKind = {
  ls: {
    noun: 'task',
    statuses: STATUSES,
    columns: ['ID', 'HASH', 'TOOL', 'STATUS', 'ATTEMPT', 'AGE', 'EXPIRES', 'OWNER', 'USER'],
    widths: [39, 12, 20, 14, 7, 4, 7, 12, 0],
    async *rows(store, request) {
      for await (const page of pagesOf((cursor) => store.tasks.list(PAGE, cursor))) {
        // Read again for each page, because an instance may die between two pages.
        const alive = await liveInstances(store);
        const now = Date.now();
        for (const record of page.records) {
          const task = taskSummary(record, alive);
          if (!isOf(task, request)) continue;
          const { id, hash, tool = '?', status, attempt = '?', createdAt, expiresAt, owner = '-', userName } = task;
          const rest = expiresAt === null ? 'never' : span(expiresAt - now);
          const cells = [id, hash, tool, status, String(attempt), span(now - createdAt), rest, owner, userName ?? '-'];
          yield { value: shownOf(task, request), cells, status };
        }
      }
    },
  },

  show: async (store, request) => shownTask(store, await read(store, request), request),

  verbs: {
    async cancel(store, request, { confirms }) {
      const found = await read(store, request);
      const { id } = found;
      const [hash, shown] = [sessionHash(id), request.ids ? id : sessionHash(id)];
      if (isEnded(found)) throw new Failure(`this task has already ended: ${endText(found)}`);
      const question = `${json(await shownTask(store, found, request), INDENT)}It ends as cancelled, and nothing undoes that. Cancel it? [y/N] `;
      if (!request.yes && !(await confirms(question)))
        throw new Failure('nothing was cancelled: answer y, or give --yes');
      const ended = new TaskStore({ options: resolveOptions({ logger: false }), store, random: systemRandom });
      const owner = await ended.end(id, { status: 'cancelled' });
      if (owner === undefined)
        throw new Failure('the task has ended since, so nothing was cancelled: `tasks show` says how it ended');
      const runs = owner === null ? undefined : await store.instances.read(owner);
      const isDetached = runs === undefined && readHead(found.head)?.state === 'detached';
      const rest = runs !== undefined ? `instance ${runs.id} runs it, and stops it within 25 s\n` : '';
      return {
        value: { ...shownOf({ id, hash }, request), status: 'cancelled', ...(runs && { owner: runs.id }) },
        text: `cancelled ${shown}\n${isDetached ? 'what works on it elsewhere is not told\n' : rest}`,
      };
    },
  },
};

/** @throws Failure where there is none. One whose time is over has nothing to show. */
async function read({ tasks: all }: EndpointStore, { names: [given = ''] }: RecordRequest) {
  const found = await all.read(await idOf('tasks', all, given));
  if (found === undefined || (isEnded(found) && found.outcome === ''))
    throw new Failure(
      `there is no task ${JSON.stringify(given)} in this store, or its time is over; set --name to the name of its endpoint`,
    );
  return found;
}

async function shownTask(
  store: EndpointStore,
  found: StoredRecord | EndedRecord,
  request: RecordRequest,
): Promise<object> {
  if (isEnded(found)) return endedTask(found, request);
  const { id, owner, head, body, fields, dueAt, epoch } = found;
  const lease = owner === null ? undefined : await store.instances.read(owner);
  const steps = await store.steps.read(id);
  const kept = readBody(body);
  const [call, own] = [Buffer.byteLength(body), sizeOf(Object.entries(fields).flat())];
  return {
    ...shownOf(taskSummary(found, new Set(lease === undefined ? [] : [lease.id])), request),
    statusMessage: fields[MESSAGE_FIELD],
    ...processOf(lease),
    maxAttempts: kept?.maxAttempts,
    /** What becomes of it when its instance dies: `undefined`: by the hints of its tool. */
    resume: kept?.resume,
    questions: questionStates(found),
    epoch,
    dueAt,
    isDue: dueAt !== null && dueAt <= Date.now(),
    bytes: {
      record: Buffer.byteLength(head) + call + own,
      call,
      fields: own,
      steps: steps === undefined || isEnded(steps) ? 0 : sizeOf(Object.entries(steps.fields).flat()),
    },
  };
}

/** How and when it ended, in words. */
function endText({ outcome, at }: EndedRecord): string {
  const { status = 'unreadable: a newer build of sojourn has ended it', endedAt = at } = readOutcome(outcome) ?? {};
  return `${status} at ${timestamp(endedAt)}`;
}

function endedTask({ id, outcome: text, at }: EndedRecord, request: RecordRequest): object {
  const names = shownOf({ id, hash: sessionHash(id) }, request);
  const outcomeBytes = Buffer.byteLength(text);
  const outcome = readOutcome(text);
  if (outcome === undefined) return { ...names, status: 'unreadable', endedAt: at, outcomeBytes };
  const { tool, status, statusMessage, createdAt, endedAt, ttlMs } = outcome;
  const error = errorOf(outcome);
  return {
    ...names,
    tool,
    status,
    statusMessage,
    ...error,
    createdAt,
    endedAt,
    keptUntil: createdAt + ttlMs,
    outcomeBytes,
  };
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
] as const;

/** In the largest unit of which there are at least two: `90s`, `47h`. Clocks may differ: less than nothing is 0. */
function span(ms: number): string {
  const [unit, size] = UNITS.find(([, of]) => ms >= 2 * of) ?? ['s', 1_000];
  return `${Math.max(0, Math.floor(ms / size))}${unit}`;
}
