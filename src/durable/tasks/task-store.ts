/**
 * Tasks in the store, as every instance reads and ends them. The id of a task is `<group>.<name>`: the group is made of
 * its user, so that another user's id is refused before the store is asked, and looks like an unknown one.
 */
import { createHmac } from 'node:crypto';
import {
  resultNotKept,
  resultTooLarge,
  rpcError,
  storeUnavailable,
  taskNotFound,
  taskUnreadable,
} from '../../base/errors.ts';
import { base64url } from '../../base/system.ts';
import type { Scope } from '../records/call-key.ts';
import { OwnedRecords, type RecordParts } from '../records/owned-records.ts';
import {
  type EndedRecord,
  isEnded,
  type Ownership,
  type StoredRecord,
} from '../../stores/store.ts';
import {
  type TaskBody,
  MESSAGE_FIELD,
  outcomeText,
  readBody,
  readOutcome,
  reasonOf,
  type TaskEnd,
} from './task-record.ts';

/** A result, with what is kept beside it. */
export const RESULT_BYTES = 4_194_304;
const GROUP_LENGTH = 16;
const NAME_BYTES = 16;
/** The length of so many bytes in base64url. */
const NAME_LENGTH = 22;
const ID = /^[\w-]{16}\.[\w-]{22}$/;
/** A task that changes all the time is read again so often. */
const TRIES = 8;

/** Calls of the same scope and tool with this key have one task. */
export interface TaskKey {
  readonly scope: Scope;
  readonly key: string;
  /** What the client sent. */
  readonly args: unknown;
}

/** A task whose record lives. */
export interface LivingTask {
  readonly record: StoredRecord;
  readonly kept: TaskBody;
}

export type FoundTask = LivingTask | EndedRecord;

/** The hash of its arguments; `undefined`: it has no key, or another build has ended it. */
export const argsOf = (found: FoundTask): string | undefined =>
  'record' in found ? found.kept.args : readOutcome(found.outcome)?.args;

export class TaskStore extends OwnedRecords {
  #secret: Promise<Uint8Array> | undefined = undefined;

  constructor(given: RecordParts) {
    super('tasks', given);
  }

  /** Whose tasks these are; callers without a user share a group. */
  async group(user: string | undefined): Promise<string> {
    return (await this.#sealed(user ?? null)).slice(0, GROUP_LENGTH);
  }

  /** A text made of `parts` and the secret of the deployment. */
  async #sealed(parts: unknown): Promise<string> {
    // A failure is tried again by the next call.
    this.#secret ??= this.reach(() => this.given.store.secret('tasks')).catch((cause: unknown) => {
      this.#secret = undefined;
      throw cause;
    });
    return createHmac('sha256', await this.#secret)
      .update(JSON.stringify(parts))
      .digest('base64url');
  }

  /** The id of the task of a key, or a new one. */
  async idOf(user: string | undefined, tool: string, of?: TaskKey): Promise<string> {
    const name =
      of === undefined
        ? base64url(this.given.random(NAME_BYTES))
        : (await this.#sealed([...of.scope, tool, of.key])).slice(0, NAME_LENGTH);
    return `${await this.group(user)}.${name}`;
  }

  /** Throws `TASK_NOT_FOUND`, also for the task of another user and `STORE_UNAVAILABLE`. */
  async find(id: unknown, user: string | undefined): Promise<FoundTask> {
    if (typeof id !== 'string' || !id.startsWith(`${await this.group(user)}.`))
      throw taskNotFound();
    const found = await this.read(id);
    if (found === undefined || ('record' in found && found.record.user !== (user ?? null)))
      throw taskNotFound();
    return found;
  }

  /** `undefined`: there is none, or its time is over. Throws `TASK_UNREADABLE`. */
  async read(id: string): Promise<FoundTask | undefined> {
    // Not every store takes every text for an id.
    if (!ID.test(id)) return undefined;
    const record = await this.reach(async () => this.outcomes.whole(await this.records.read(id)));
    if (record === undefined) return undefined;
    if (isEnded(record)) return record.outcome === '' ? undefined : record;
    const kept = readBody(record.body);
    if (kept === undefined) throw taskUnreadable();
    return { record, kept };
  }

  /**
   * Ends a task from outside. Returns its owner; `undefined`: it had ended before, or is no longer as it was `seen`: an
   * owner that was taken for dead has claimed it under a new id.
   */
  async end(id: string, end: TaskEnd, seen?: Ownership): Promise<string | null | undefined> {
    for (let tries = 0; tries < TRIES; tries++) {
      const found = await this.read(id);
      if (found === undefined || !('record' in found)) return undefined;
      const { record, kept } = found;
      if (seen !== undefined && (record.epoch !== seen.epoch || record.owner !== seen.owner))
        return undefined;
      // This instance does not know how much of its time is left.
      const keepMs = kept.ttlMs;
      const now = this.given.options.timeProvider.now();
      const ttlMs = now - record.createdAt + keepMs;
      const { text, short } = storedEnd({ ...record, kept }, end, ttlMs, now);
      const bytes = Buffer.byteLength(text);
      if (bytes > RESULT_BYTES) throw resultTooLarge(bytes, RESULT_BYTES);
      const inStore = { share: record.share, short };
      const ended = await this.reach(() =>
        this.outcomes.end(this.records, id, record, text, keepMs, inStore),
      );
      if (ended === 'gone') return undefined;
      if (ended === 'fenced') continue;
      this.ended(record, kept, end);
      return record.owner;
    }
    throw storeUnavailable('a task changes all the time');
  }

  /** The end of a task whose time was over is stored. */
  expired(taskId: string, tool?: string): void {
    const of = { tool, status: 'expired', reason: undefined, ms: undefined } as const;
    this.given.options.notices.emit({ kind: 'taskEnded', taskId, ...of });
  }

  /** The end of a task is stored. */
  ended(
    { id, createdAt }: Pick<StoredRecord, 'id' | 'createdAt'>,
    { tool }: TaskBody,
    end: TaskEnd,
  ): void {
    const { timeProvider, notices } = this.given.options;
    const ms = Math.max(0, timeProvider.now() - createdAt);
    notices.emit({
      kind: 'taskEnded',
      taskId: id,
      tool,
      status: end.status,
      reason: reasonOf(end),
      ms,
    });
  }
}

interface EndingTask extends Pick<StoredRecord, 'createdAt' | 'fields' | 'stamp'> {
  readonly kept: TaskBody;
}

/** What is kept of a task that ends now, with this end or, where the store has no room for that, the `short` one. */
export function storedEnd(
  { createdAt, fields, stamp, kept: { pollIntervalMs, tool, args } }: EndingTask,
  end: TaskEnd,
  ttlMs: number,
  now: number,
): { readonly text: string; readonly short: string } {
  const endedAt = Math.max(now, stamp);
  const told = {
    createdAt,
    endedAt,
    ttlMs,
    pollIntervalMs,
    tool,
    args,
    statusMessage: fields[MESSAGE_FIELD],
  };
  const short: TaskEnd = { status: 'failed', error: rpcError(resultNotKept()) };
  return { text: outcomeText({ ...end, ...told }), short: outcomeText({ ...short, ...told }) };
}
