/**
 * `sojourn tasks ls | show | cancel`: reads the tasks of a deployment in its store, and ends one. The command is not an
 * instance and sends no message: an instance finds that its task has ended when it renews it.
 *
 * Payloads are left out: arguments, headers, questions, answers, recorded steps, results and the messages of errors.
 * What a task says of its progress is printed, because it is made to be shown.
 */
import { sessionHash } from '../../base/shown.ts';
import { systemRandom } from '../../base/system.ts';
import type { EndpointStore } from '../../endpoint/endpoint-store.ts';
import { resolveOptions } from '../../options/resolve.ts';
import { type EndedRecord, isEnded, type StoredRecord } from '../../stores/store.ts';
import { MESSAGE_FIELD, readBody, readHead, readOutcome } from '../../tasks/task-record.ts';
import { TaskStore } from '../../tasks/task-store.ts';
import { errorOf, questionStates, taskSummary } from '../../tasks/task-summary.ts';
import { Failure } from '../failure.ts';
import type { RecordRequest } from './commands.ts';
import { recordOf } from './opened-store.ts';
import { timestamp } from './printing.ts';
import { ownerOf, type RecordKind, requireYes, shownOf, summaries } from './record-kind.ts';

export const tasks: RecordKind<ReturnType<typeof taskSummary>> = {
  ls: {
    noun: 'task',
    columns: ['ID', 'HASH', 'TOOL', 'STATUS', 'ATTEMPT', 'CREATED', 'EXPIRES', 'OWNER', 'USER'],
    widths: [39, 12, 20, 14, 7, 20, 20, 12],
    cells({ id, hash, tool = '?', status, attempt = '?', createdAt, expiresAt, owner = '-', userName = '-' }) {
      const until = expiresAt === null ? 'never' : timestamp(expiresAt);
      return [id, hash, tool, status, String(attempt), timestamp(createdAt), until, owner, userName];
    },
    rows: (store, request) => summaries(store, store.tasks, taskSummary, request),
  },

  show: async (store, request) => shownTask(store, await recordOf(store, 'tasks', request.names[0]), request),

  verbs: {
    async cancel(store, request) {
      const found = await recordOf(store, 'tasks', request.names[0]);
      const { id } = found;
      const shown = request.ids ? id : sessionHash(id);
      if (isEnded(found)) {
        const { status, endedAt } = endOf(found);
        throw new Failure(`this task has already ended: ${status} at ${timestamp(endedAt)}`);
      }
      requireYes(await shownTask(store, found, request), 'It ends as cancelled, and nothing undoes that', request);
      const ended = new TaskStore({ options: resolveOptions({ logger: false }), store, random: systemRandom });
      const owner = await ended.end(id, { status: 'cancelled' });
      if (owner === undefined)
        throw new Failure('the task has ended since, so nothing was cancelled: `tasks show` says how it ended');
      const { lease: runs } = await ownerOf(store, { owner });
      const rest =
        runs !== undefined
          ? `\ninstance ${runs.id} runs it, and stops it within 15 s`
          : readHead(found.head)?.state === 'detached'
            ? '\nwhat works on it elsewhere is not told'
            : '';
      return `cancelled ${shown}${rest}`;
    },
  },
};

async function shownTask(
  store: EndpointStore,
  found: StoredRecord | EndedRecord,
  request: RecordRequest,
): Promise<object> {
  if (isEnded(found)) return { ...shownOf({ id: found.id, hash: sessionHash(found.id) }, request), ...endOf(found) };
  const { body, fields, dueAt, epoch } = found;
  const { alive, shown } = await ownerOf(store, found);
  const { maxAttempts, resume } = readBody(body) ?? {};
  return {
    ...shownOf(taskSummary(found, alive), request),
    statusMessage: fields[MESSAGE_FIELD],
    ...shown,
    maxAttempts,
    resume,
    questions: questionStates(found),
    epoch,
    dueAt,
  };
}

/** How and when a task ended, without its result. */
function endOf({ outcome: text, at }: EndedRecord) {
  const outcome = readOutcome(text);
  if (outcome === undefined) return { status: 'unreadable: a newer build of sojourn has ended it', endedAt: at };
  const { tool, status, statusMessage, createdAt, endedAt, ttlMs } = outcome;
  return { tool, status, statusMessage, ...errorOf(outcome), createdAt, endedAt, keptUntil: createdAt + ttlMs };
}
