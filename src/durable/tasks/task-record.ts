/**
 * What a store keeps of a task: a record of the kind `TASKS`. Its body is the call, which never changes. Its head says
 * in which state it is, its fields what the client is to answer, and its outcome how it ended.
 *
 *     running ──asks its client──▶ parked ──answered──▶ running        (a run of its handler, or none)
 *        ├──its instance drains──▶ queued ──another takes it──▶ running
 *        ├──leaves the rest to others──▶ detached
 *        ╰──its handler settles, or it is cancelled──▶ ended
 *
 * Fields: `m` what its client shows, `q<key>` a question, `a<key>` its answer, `r` what the next round of its handler
 * gets. An answer is never removed, so no key is used twice.
 */
import type { AuthInfo } from '@modelcontextprotocol/server';
import { ERROR_CODES, resultNotKept, rpcError } from '../../base/errors.ts';
import { readText, storedText } from '../records/stored-text.ts';
import { isObject, type RpcRequest } from '../../base/protocol/jsonrpc.ts';
import type { RequestFields } from '../../cluster/relay/sent-request.ts';
import type { Fields } from '../../stores/shared/record-change.ts';
import type { StoredRecord } from '../../stores/store.ts';

type TaskState = 'running' | 'parked' | 'queued' | 'detached';

export interface TaskHead {
  readonly state: TaskState;
  /** 1, and 1 more after each crash. */
  readonly attempt: number;
}

const HEAD = /^(running|parked|queued|detached) ([1-9]\d{0,8})$/;

export const headText = ({ state, attempt }: TaskHead): string => `${state} ${attempt}`;

export function readHead(text: string): TaskHead | undefined {
  const [, state, attempt] = HEAD.exec(text) ?? [];
  return state === undefined ? undefined : { state: state as TaskState, attempt: Number(attempt) };
}

/** How a task is run, as its author said. */
export interface GivenSettings {
  /** Whether its handler may run again after a crash. */
  readonly afterCrash: 'run' | 'fail';
  readonly ttlMs: number;
  readonly keepMs: number;
  readonly pollIntervalMs: number;
  readonly maxAttempts: number;
}

/** The call without its request, as the next instance needs it. It holds no token and no credential. */
export interface TaskBody extends GivenSettings {
  readonly tool: string;
  readonly version: string;
  readonly fields: Omit<RequestFields, 'user' | 'address'>;
  readonly auth?: AuthInfo | undefined;
  /** A hash of its arguments, where its id is made of a key. */
  readonly args?: string | undefined;
}

export const bodyText = (kept: TaskBody, request: RpcRequest): string =>
  storedText(kept, JSON.stringify(request));

/** Reads the first line of a body: the request after it may be long. `undefined`: another build wrote the body. */
export const readBody = (body: string): TaskBody | undefined =>
  readText(body)?.line as TaskBody | undefined;

// ——— questions and answers ———

export interface InputRequest {
  readonly method: string;
  readonly params?: unknown;
}

export const MESSAGE_FIELD = 'm';
export const ROUND_FIELD = 'r';
export const questionField = (key: string): string => `q${key}`;
export const answerField = (key: string): string => `a${key}`;

/** A lone surrogate, which UTF-8 does not have, and the character that PostgreSQL does not keep. */
const UNSTORABLE = /[\p{Cs}\0]/gu;
const NAME_BYTES = 200;
export const FIELD_NAME = `1 to ${NAME_BYTES} bytes, no lone surrogate and no U+0000`;

/** `text` as each store gives it back. */
export const storable = (text: string): string => text.replace(UNSTORABLE, '\ufffd');

/** Whether a handler may give this name to what its task records: a later run would not find it under another one. */
export const isFieldName = (name: string): boolean =>
  name !== '' && Buffer.byteLength(name) <= NAME_BYTES && storable(name) === name;

/** Whether this field is a question without an answer. */
export const isOpen = (fields: Fields, name: string): boolean =>
  name.startsWith('q') && fields[answerField(name.slice(1))] === undefined;

/** Every question without an answer, by its key. */
export function openQuestions(fields: Fields): Readonly<Record<string, InputRequest>> {
  const open = Object.entries(fields).filter(([name]) => isOpen(fields, name));
  return Object.fromEntries(
    open.map(([name, text]) => [name.slice(1), JSON.parse(text) as InputRequest]),
  );
}

export const hasOpenQuestions = (fields: Fields): boolean =>
  Object.keys(fields).some((name) => isOpen(fields, name));

/** What the next round of a handler gets that returned questions. `keys`: those of the client, and the handler's. */
export interface Round {
  readonly requestState?: string | undefined;
  readonly keys: Readonly<Record<string, string>>;
}

/** The call with the answers of its client, as the handler of the next round gets it. */
export function nextRound({ body, fields }: Pick<StoredRecord, 'body' | 'fields'>): RpcRequest {
  const request = JSON.parse(readText(body)?.rest ?? '') as RpcRequest;
  const text = fields[ROUND_FIELD];
  if (text === undefined) return request;
  const { requestState, keys } = JSON.parse(text) as Round;
  const inputResponses = Object.fromEntries(
    Object.entries(keys).map(([key, own]) => [
      own,
      JSON.parse(fields[answerField(key)] ?? 'null') as unknown,
    ]),
  );
  const params = {
    ...request.params,
    inputResponses,
    ...(requestState !== undefined && { requestState }),
  };
  return { ...request, params };
}

// ——— the end ———

type EndStatus = 'completed' | 'failed' | 'cancelled';

/** How a task ended. */
export interface TaskEnd {
  readonly status: EndStatus;
  /** Its result, which may be long. */
  readonly resultJson?: string | undefined;
  readonly error?:
    | { readonly code: number; readonly message: string; readonly data?: unknown }
    | undefined;
}

/** What this package gives as a reason. A handler may have written anything into the data of its error. */
const REASONS: ReadonlySet<unknown> = new Set(ERROR_CODES.map((code) => code.toLowerCase()));

/** `undefined`: it ended without an error of this library. */
export function reasonOf({ error }: Pick<TaskEnd, 'error'>): string | undefined {
  const reason = isObject(error?.data) ? error.data['reason'] : undefined;
  return REASONS.has(reason) ? String(reason) : undefined;
}

export interface TaskOutcome extends TaskEnd {
  readonly createdAt: number;
  readonly endedAt: number;
  readonly ttlMs: number;
  readonly pollIntervalMs: number;
  readonly tool: string;
  readonly args?: string | undefined;
  readonly statusMessage?: string | undefined;
}

export const outcomeText = ({ resultJson, ...line }: TaskOutcome): string =>
  storedText(line, resultJson);

/** `undefined`: another build has written it. */
export function readOutcome(text: string): TaskOutcome | undefined {
  const { line, rest } = readText(text) ?? {};
  return line && { ...(line as TaskOutcome), resultJson: rest };
}

/** What stays of an ended task whose user is forgotten: of one with a key, that it may have run. Empty: nothing. */
export function forgottenOutcome(text: string): string {
  const outcome = readOutcome(text);
  if (outcome?.args === undefined) return '';
  const { status, createdAt, endedAt, ttlMs, pollIntervalMs, tool, args } = outcome;
  const end: TaskEnd =
    status === 'cancelled' ? { status } : { status: 'failed', error: rpcError(resultNotKept()) };
  return outcomeText({ ...end, createdAt, endedAt, ttlMs, pollIntervalMs, tool, args });
}
