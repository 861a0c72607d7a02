/**
 * Formats tasks for `sojourn tasks`. Payloads are left out: arguments, headers, questions, answers, recorded steps,
 * results and the messages of errors. What a task says of its progress is printed, because it is made to be shown.
 */
import type { EndedRecord, InstanceLease, StoredRecord } from '../stores/store.ts';
import { MESSAGE_FIELD, readBody, readOutcome } from '../tasks/task-record.ts';
import {
  errorOf,
  questionStates,
  STATUSES,
  type TaskStatus,
  taskSummary,
  type TaskSummary,
} from '../tasks/task-summary.ts';
import { sessionHash } from '../base/shown.ts';
import { detailLines, instanceText, json, line, timestamp } from './session-printout.ts';

export type TaskCounts = Record<TaskStatus, number>;
export const noTasks = (): TaskCounts =>
  Object.fromEntries(STATUSES.map((status) => [status, 0])) as Record<TaskStatus, number>;

// ——— the list ———

const HEAD = ['ID', 'HASH', 'TOOL', 'STATUS', 'ATTEMPT', 'AGE', 'EXPIRES', 'OWNER', 'USER'] as const;
const WIDTHS = [39, 12, 20, 14, 7, 4, 7, 12, 0] as const;

export const taskTableHead = (ids: boolean): string => line(HEAD, WIDTHS, ids);

/** `now`: ms since 1970. */
export function taskRow(task: TaskSummary, now: number, ids: boolean): string {
  const { id, hash, tool, status, attempt, createdAt, expiresAt, owner, userName } = task;
  const rest = expiresAt === null ? 'never' : span(expiresAt - now);
  const cells = [id, hash, tool ?? '?', status, String(attempt ?? '?'), span(now - createdAt), rest, owner ?? '-'];
  return line([...cells, userName ?? '-'], WIDTHS, ids);
}

export const taskLine = (task: TaskSummary, ids: boolean): string => json(withoutId(task, ids));

const withoutId = <T extends { readonly id: string }>({ id, ...rest }: T, ids: boolean): object =>
  ids ? { id, ...rest } : rest;

export function taskCountLine(counts: TaskCounts): string {
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const told = STATUSES.filter((status) => counts[status] > 0).map((status) => `${counts[status]} ${status}`);
  return `\n${all} ${all === 1 ? 'task' : 'tasks'}${all === 0 ? '' : `: ${told.join(', ')}`}\n`;
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

// ——— one task ———

/** What the store has beside the record of a task. */
export interface TaskSurroundings {
  readonly owner: InstanceLease | undefined;
  /** What its runs have recorded. */
  readonly steps: StoredRecord | undefined;
  /** ms since 1970. */
  readonly now: number;
}

export function taskDetails(record: StoredRecord, around: TaskSurroundings, asJson: boolean, ids: boolean): string {
  const { owner, now } = around;
  const task = taskSummary(record, new Set(owner === undefined ? [] : [owner.id]));
  const kept = readBody(record.body);
  const statusMessage = record.fields[MESSAGE_FIELD];
  const questions = questionStates(record);
  const bytes = bytesOf(record, around.steps);
  const isDue = record.dueAt !== null && record.dueAt <= now;
  if (asJson) {
    const { host, pid } = owner?.process ?? {};
    return json({
      ...withoutId(task, ids),
      statusMessage,
      ...(owner !== undefined && { ownerState: owner.state }),
      ...(host !== undefined && { host, pid }),
      maxAttempts: kept?.maxAttempts,
      resume: kept?.resume,
      questions,
      epoch: record.epoch,
      dueAt: record.dueAt,
      isDue,
      bytes,
    });
  }
  return detailLines([
    ...namesOf(task.id, ids),
    ['tool', task.tool ?? 'unreadable: a newer build of sojourn has made this task'],
    ['status', task.status],
    ['message', statusMessage ?? '-'],
    ['owner', ownerText(record, owner)],
    ['user', task.userName ?? '-'],
    ['user key', task.user ?? '-'],
    ['attempt', `${task.attempt ?? '?'} of ${kept?.maxAttempts ?? '?'}, round ${task.round ?? '?'}`],
    ['after a crash', AFTER_CRASH[String(kept?.resume)] ?? '?'],
    ...questions.map(({ name, answered }) => ['question', `${name} (${answered ? 'answered' : 'open'})`] as const),
    ['size', `${bytes.record} bytes: call ${bytes.call}, questions, answers and message ${bytes.fields}`],
    ['steps', `${bytes.steps} bytes`],
    ['epoch', String(record.epoch)],
    ['created', `${timestamp(task.createdAt)}, ${span(now - task.createdAt)} ago`],
    ['updated', timestamp(task.updatedAt)],
    ['expires', task.expiresAt === null ? 'never' : `${timestamp(task.expiresAt)}, in ${span(task.expiresAt - now)}`],
    ['due', dueText(record, isDue)],
  ]);
}

const AFTER_CRASH: Readonly<Record<string, string>> = {
  true: 'it runs again',
  false: 'it ends as owner_lost',
  undefined: 'it runs again if the hints of its tool allow that',
};

function ownerText({ owner }: StoredRecord, lease: InstanceLease | undefined): string {
  if (owner === null) return '-';
  return lease === undefined ? `${owner}, which has no lease: it has died` : instanceText(lease);
}

const dueText = ({ dueAt }: StoredRecord, isDue: boolean): string =>
  dueAt === null ? 'no' : `${isDue ? 'yes, since' : 'no, from'} ${timestamp(dueAt)}${isDue ? '' : ' on'}`;

/** Bytes of the texts of a task. */
function bytesOf({ head, body, fields }: StoredRecord, steps: StoredRecord | undefined) {
  const [call, own] = [Buffer.byteLength(body), sizeOf(fields)];
  return { record: Buffer.byteLength(head) + call + own, call, fields: own, steps: sizeOf(steps?.fields ?? {}) };
}

const sizeOf = (fields: StoredRecord['fields']): number =>
  Object.entries(fields).reduce((sum, [name, text]) => sum + Buffer.byteLength(name) + Buffer.byteLength(text), 0);

// ——— a task that has ended ———

/** How and when it ended, in words. */
export function taskEnd({ outcome, at }: EndedRecord): string {
  const { status = 'unreadable: a newer build of sojourn has ended it', endedAt = at } = readOutcome(outcome) ?? {};
  return `${status} at ${timestamp(endedAt)}`;
}

const namesOf = (id: string, ids: boolean): ReadonlyArray<readonly [string, string]> => [
  ...(ids ? [['id', id] as const] : []),
  ['hash', sessionHash(id)],
];

export function endedTask(record: EndedRecord, asJson: boolean, ids: boolean): string {
  const { id, outcome: text, at } = record;
  const outcome = readOutcome(text);
  const outcomeBytes = Buffer.byteLength(text);
  const names = { ...(ids && { id }), hash: sessionHash(id) };
  if (outcome === undefined)
    return asJson
      ? json({ ...names, status: 'unreadable', endedAt: at, bytes: outcomeBytes })
      : detailLines([...namesOf(id, ids), ['status', taskEnd(record)]]);
  const { tool, status, statusMessage, createdAt, endedAt, ttlMs } = outcome;
  const error = errorOf(outcome);
  const keptUntil = createdAt + ttlMs;
  if (asJson)
    return json({ ...names, tool, status, statusMessage, ...error, createdAt, endedAt, keptUntil, outcomeBytes });
  return detailLines([
    ...namesOf(id, ids),
    ['tool', tool],
    ['status', status],
    ['message', statusMessage ?? '-'],
    ...(error === undefined ? [] : [['error', `${error.errorCode} ${error.reason ?? ''}`.trim()] as const]),
    ['size', `${outcomeBytes} bytes`],
    ['created', timestamp(createdAt)],
    ['ended', timestamp(endedAt)],
    ['kept until', timestamp(keptUntil)],
  ]);
}
