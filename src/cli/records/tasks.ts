/**
 * `sojourn tasks ls | show | cancel`: reads the tasks of a deployment in its store, and ends one. The command is not an
 * instance and sends no message: an instance finds that its task has ended when it renews it.
 *
 * Payloads are left out: arguments, headers, questions, answers, recorded steps, results and the messages of errors.
 * What a task says of its progress is printed, because it is made to be shown.
 */
import { sessionHash } from '../../base/shown.ts';
import { systemRandom } from '../../base/system.ts';
import { type EndedRecord, isEnded } from '../../stores/store.ts';
import { MESSAGE_FIELD, readBody, readHead, readOutcome } from '../../durable/tasks/task-record.ts';
import { TaskStore } from '../../durable/tasks/task-store.ts';
import { errorOf, questionStates, taskSummary } from '../../durable/tasks/task-summary.ts';
import { Failure } from '../failure.ts';
import type { RecordKind } from './commands.ts';
import { living, ownerIn, recordOf, summaries } from './opened-store.ts';
import { requireYes, timestamp } from './printing.ts';

/** The command owns nothing. */
const NONE = { lease: { owner: '', valid: false } };

export const tasks: RecordKind<ReturnType<typeof taskSummary>> = {
  columns: ['ID', 'HASH', 'TOOL', 'STATUS', 'ATTEMPT', 'CREATED', 'EXPIRES', 'OWNER', 'USER'],
  widths: [39, 12, 20, 14, 7, 20, 20, 16],
  cells({
    id,
    hash,
    tool = '?',
    status,
    attempt = '?',
    createdAt,
    expiresAt,
    owner = '-',
    userName = '-',
  }) {
    const until = expiresAt === null ? 'never' : timestamp(expiresAt);
    return [id, hash, tool, status, String(attempt), timestamp(createdAt), until, owner, userName];
  },
  ls: (store, request) => summaries(store, 'tasks', taskSummary, request),

  async show(store, { names }) {
    const found = await recordOf(store, 'tasks', names[0]);
    if (isEnded(found)) return { id: found.id, hash: sessionHash(found.id), ...endOf(found) };
    const { body, fields, dueAt, epoch } = found;
    const alive = await living(store);
    const { maxAttempts, afterCrash } = readBody(body) ?? {};
    const statusMessage = fields[MESSAGE_FIELD];
    const questions = questionStates(found);
    const own = {
      statusMessage,
      ...ownerIn(alive, found),
      maxAttempts,
      afterCrash,
      questions,
      epoch,
      dueAt,
    };
    return { ...taskSummary(found, new Set(alive.keys())), ...own };
  },

  /** Cancels it. */
  async act(store, request) {
    const found = await recordOf(store, 'tasks', request.names[0]);
    const { id } = found;
    if (isEnded(found)) {
      const { status, endedAt } = endOf(found);
      throw new Failure(`this task has already ended: ${status} at ${timestamp(endedAt)}`);
    }
    requireYes(
      await tasks.show(store, request),
      'With --yes it ends as cancelled, and nothing undoes that',
      request,
    );
    const parts = { options: request.options, store, random: systemRandom, instance: NONE };
    const owner = await new TaskStore(parts).end(id, { status: 'cancelled' });
    if (owner === undefined)
      throw new Failure(
        'the task has ended since, so nothing was cancelled: `tasks show` says how it ended',
      );
    const done = `cancelled ${sessionHash(id)}`;
    if ((await living(store)).has(owner ?? ''))
      return `${done}\ninstance ${owner} runs it, and stops it within 15 s`;
    return readHead(found.head)?.state === 'detached'
      ? `${done}\nwhat works on it elsewhere is not told`
      : done;
  },
};

/** How and when a task ended, without its result. */
function endOf({ outcome: text, at }: EndedRecord) {
  const outcome = readOutcome(text);
  if (outcome === undefined)
    return { status: 'unreadable: a newer build of sojourn has ended it', endedAt: at };
  const { tool, status, statusMessage, createdAt, endedAt, ttlMs } = outcome;
  return {
    tool,
    status,
    statusMessage,
    ...errorOf(outcome),
    createdAt,
    endedAt,
    keptUntil: createdAt + ttlMs,
  };
}
