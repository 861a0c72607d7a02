/** What is shown of the record of a task, by `sojourn tasks` and the dashboard: one function for the fields of both. */
import { sessionHash, userName } from '../../base/shown.ts';
import { damagedRecord } from '../../stores/shared/failures.ts';
import type { StoredRecord } from '../../stores/store.ts';
import {
  answerField,
  hasOpenQuestions,
  questionField,
  readBody,
  readHead,
  reasonOf,
  type TaskHead,
  type TaskOutcome,
} from './task-record.ts';

/**
 * The protocol has `working` and `input_required`. For its client a task of the other statuses is `working` too.
 * `queued`: no instance has it. `detached`: work elsewhere ends it. `orphaned`: its instance died. An instance takes a
 * queued or orphaned task soon, or ends it.
 */
export const STATUSES = ['working', 'input_required', 'queued', 'detached', 'orphaned'] as const;
export type TaskStatus = (typeof STATUSES)[number];

/** `alive`: the instances that have a lease. */
export function taskSummary(record: StoredRecord, alive: ReadonlySet<string>) {
  const { id, user, owner, createdAt, stamp, expiresAt } = record;
  const head = readHead(record.head);
  const tool: unknown = readBody(record.body)?.tool;
  if (tool !== undefined && typeof tool !== 'string') throw damagedRecord('the session store', id);
  return {
    /** Where a task has no user, its id is a credential. */
    id,
    hash: sessionHash(id),
    /** A newer build has made a task without. */
    tool,
    status: statusOf(record, head, alive),
    ...(user !== null && { userKey: user, userName: userName(user) }),
    ...(owner !== null && { owner }),
    attempt: head?.attempt,
    createdAt,
    updatedAt: stamp,
    expiresAt,
  };
}

function statusOf(
  { fields, owner }: StoredRecord,
  head: TaskHead | undefined,
  alive: ReadonlySet<string>,
): TaskStatus {
  if (hasOpenQuestions(fields)) return 'input_required';
  if (head?.state === 'detached') return 'detached';
  if (owner === null) return 'queued';
  return alive.has(owner) ? 'working' : 'orphaned';
}

/** The names of its questions. */
export function questionStates({ fields }: StoredRecord) {
  const prefix = questionField('');
  const asked = Object.keys(fields).filter((name) => name.startsWith(prefix));
  const names = asked.map((name) => name.slice(prefix.length)).toSorted();
  return names.map((name) => ({ name, answered: fields[answerField(name)] !== undefined }));
}

export function errorOf({
  error,
}: TaskOutcome): { readonly errorCode: number; readonly reason?: string } | undefined {
  if (error === undefined) return undefined;
  const reason = reasonOf({ error });
  return { errorCode: error.code, ...(reason !== undefined && { reason }) };
}
