/** Tasks on the wire: `CreateTaskResult` and `DetailedTask` of `io.modelcontextprotocol/tasks` (SEP-2663). */
import { CLIENT_CAPABILITIES_META_KEY, type RequestId } from '@modelcontextprotocol/server';
import { taskUnreadable } from '../../base/errors.ts';
import { isObject, type RpcRequest } from '../../base/protocol/jsonrpc.ts';
import type { StoredRecord } from '../../stores/store.ts';
import {
  MESSAGE_FIELD,
  openQuestions,
  type TaskBody,
  readOutcome,
  type TaskOutcome,
} from './task-record.ts';
import type { FoundTask } from './task-store.ts';

/** Revision of August 2026. */
export const TASKS_EXTENSION = 'io.modelcontextprotocol/tasks';

/** What the client of a request declares in it. */
export function declaredIn({
  params,
}: Pick<RpcRequest, 'params'>): Readonly<Record<string, unknown>> {
  const meta = params?.['_meta'];
  const declared = isObject(meta) ? meta[CLIENT_CAPABILITIES_META_KEY] : undefined;
  return isObject(declared) ? declared : {};
}

/** A task as `tasks/get` answers it. */
export interface DetailedTask {
  readonly taskId: string;
  readonly status: 'working' | 'input_required' | 'completed' | 'failed' | 'cancelled';
  readonly statusMessage?: string;
  /** ISO 8601. */
  readonly createdAt: string;
  readonly lastUpdatedAt: string;
  readonly ttlMs: number | null;
  readonly pollIntervalMs?: number;
  readonly inputRequests?: Readonly<Record<string, unknown>>;
  readonly result?: unknown;
  readonly error?: unknown;
}

type Times = Pick<TaskBody, 'ttlMs' | 'pollIntervalMs'>;

const iso = (ms: number): string => new Date(ms).toISOString();

/** The answer to the call: JSON text. */
export function createdTask(task: DetailedTask, requestId: RequestId): string {
  const { inputRequests: _asks, result: _result, error: _error, ...shown } = task;
  return JSON.stringify({
    jsonrpc: '2.0',
    id: requestId,
    result: { resultType: 'task', ...shown },
  });
}

/** `resultJson`: its result, which may be long. Throws where another build has written its outcome. */
export function shownTask(
  id: string,
  found: FoundTask,
): { readonly task: DetailedTask; readonly resultJson?: string | undefined } {
  if ('record' in found) return { task: livingTask(found.record, found.kept) };
  const outcome = readOutcome(found.outcome);
  if (outcome === undefined) throw taskUnreadable();
  return { task: endedTask(id, outcome), resultJson: outcome.resultJson };
}

/** Throws where another build has written its outcome. */
export function readableTask(id: string, found: FoundTask): DetailedTask {
  const { task, resultJson } = shownTask(id, found);
  return resultJson === undefined ? task : { ...task, result: JSON.parse(resultJson) as unknown };
}

/** The answer to `tasks/get`: JSON text. */
export function gotTask(id: string, found: FoundTask): string {
  const { task, resultJson } = shownTask(id, found);
  const text = JSON.stringify({ resultType: 'complete', ...task });
  return resultJson === undefined ? text : `${text.slice(0, -1)},"result":${resultJson}}`;
}

type Living = Pick<StoredRecord, 'id' | 'fields' | 'createdAt' | 'stamp'>;

export function livingTask(record: Living, { ttlMs, pollIntervalMs }: Times): DetailedTask {
  const { id, fields, createdAt, stamp } = record;
  const open = openQuestions(fields);
  const asks = Object.keys(open).length > 0;
  const message = fields[MESSAGE_FIELD];
  return {
    taskId: id,
    status: asks ? 'input_required' : 'working',
    ...(message !== undefined && { statusMessage: message }),
    createdAt: iso(createdAt),
    lastUpdatedAt: iso(stamp),
    ttlMs,
    pollIntervalMs,
    ...(asks && { inputRequests: open }),
  };
}

function endedTask(id: string, outcome: TaskOutcome): DetailedTask {
  const { status, createdAt, endedAt, ttlMs, pollIntervalMs, statusMessage, error } = outcome;
  // A failed task should say why, also to who shows the message alone.
  const message = statusMessage ?? error?.message;
  return {
    taskId: id,
    status,
    ...(message !== undefined && { statusMessage: message }),
    createdAt: iso(createdAt),
    lastUpdatedAt: iso(endedAt),
    ttlMs,
    pollIntervalMs,
    ...(status === 'failed' && { error }),
  };
}
