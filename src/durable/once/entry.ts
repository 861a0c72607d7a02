/**
 * What a store keeps of the calls with one key: an entry, a record of the kind `ONCE`. Its body is there before the
 * handler runs, its outcome when the handler has settled.
 */
import { orUndefined } from '../../base/or-undefined.ts';
import { rpcError } from '../../base/errors.ts';
import { CallRefusal, isAnswer } from '../../base/errors/answer-error.ts';
import { readText, storedText } from '../records/stored-text.ts';
import { isObject } from '../../base/protocol/jsonrpc.ts';

/** The most bytes of a result that are kept. */
export const RESULT_BYTES = 262_144;

/** What a handler threw, so that it can be thrown again. */
interface ThrownError {
  readonly message: string;
  readonly name: string;
  readonly code?: number | undefined;
  readonly data?: unknown;
}

/**
 * `lost`: its instance died, so it may have run. `cancelled`: it was aborted, and then threw. `large`: it ran, and its
 * result was too large to keep, or is forgotten.
 */
export type Outcome =
  | { readonly is: 'result'; readonly json: string }
  | { readonly is: 'error'; readonly error: ThrownError }
  | { readonly is: 'lost' | 'cancelled' | 'large' };

/** An entry as another call reads it. */
export interface ReadEntry {
  readonly tool: string;
  readonly args: string;
  /** `undefined`: it has not ended. */
  readonly outcome?: Outcome;
}

/** What is stored before the handler runs. */
export const bodyOf = ({ tool, args }: Pick<ReadEntry, 'tool' | 'args'>): string =>
  storedText({ tool, args });

/** The outcome as a text that the store keeps. */
export function outcomeText(
  { tool, args }: Pick<ReadEntry, 'tool' | 'args'>,
  outcome: Outcome,
): string {
  const { is } = outcome;
  const line = { tool, args, is, ...(is === 'error' && { error: outcome.error }) };
  return storedText(line, is === 'result' ? outcome.json : undefined);
}

/** `undefined`: a build that this one does not know wrote it. `text`: the body or the outcome. */
export function readEntry(text: string): ReadEntry | undefined {
  const { line, rest: json = '' } = readText(text) ?? {};
  if (line === undefined) return undefined;
  const { tool, args, is, error } = line as {
    tool: string;
    args: string;
    is?: Outcome['is'];
    error: ThrownError;
  };
  if (is === undefined) return { tool, args };
  return {
    tool,
    args,
    outcome: is === 'result' ? { is, json } : is === 'error' ? { is, error } : { is },
  };
}

/** No call has these arguments. */
const UNREADABLE: ReadEntry = { tool: '', args: '' };

/** What stays of an entry whose user is forgotten: which call it was, and that it may have run. `text`: as above. */
export function forgottenText(text: string): string {
  const { outcome = { is: 'lost' }, ...call } = readEntry(text) ?? UNREADABLE;
  const says = outcome.is === 'result' || outcome.is === 'error';
  return outcomeText(call, says ? { is: 'large' } : outcome);
}

/** `undefined`: it is too large to keep, or has no JSON. */
function keptJson(value: unknown): string | undefined {
  const json = orUndefined(() => JSON.stringify(value) ?? 'null');
  return json === undefined || Buffer.byteLength(json) > RESULT_BYTES ? undefined : json;
}

/** The outcome of a handler that returned. */
export function resultOutcome(value: unknown): Outcome {
  const json = keptJson(value);
  return json === undefined ? { is: 'large' } : { is: 'result', json };
}

/** The outcome of a handler that threw. */
export function errorOutcome(cause: unknown): Outcome {
  const { name, message } =
    cause instanceof Error ? cause : { name: 'Error', message: String(cause) };
  const answer = isAnswer(cause) ? { code: cause.code, data: cause.data } : {};
  const refused = cause instanceof CallRefusal ? rpcError(cause.refusal) : answer;
  const error: ThrownError = { name, message, ...refused };
  return keptJson(error) === undefined ? { is: 'large' } : { is: 'error', error };
}

/** The recorded error, from which the SDK makes the same answer. */
export function thrownAgain({ message, name, code, data }: ThrownError): Error {
  const error = new Error(message);
  // The stack would name this file.
  return Object.assign(error, {
    name,
    stack: undefined,
    ...(code !== undefined && { code, data }),
  });
}

/** The `_meta` of an answer that another call of this key has made. */
const REPLAYED = 'sojourn/replayed';

/** A copy of the recorded result for one more caller. */
export function replayedResult(json: string): unknown {
  const result: unknown = JSON.parse(json);
  if (!isObject(result)) return result;
  const meta = isObject(result['_meta']) ? result['_meta'] : {};
  return { ...result, _meta: { ...meta, [REPLAYED]: true } };
}

/** Whether the client is asked before the call has an outcome: the next round of the call makes an entry again. */
export const asksClient = (value: unknown): boolean =>
  isObject(value) && value['resultType'] === 'input_required';
