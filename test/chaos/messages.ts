/** What a message on the wire says about the calls and the session that it belongs to. */
import type { RawResponse } from '../kit/raw-response.ts';
import type { Call, Ending, History, Progress, Pushed, Story } from './history.ts';

export interface Message {
  readonly id?: string | number;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: {
    readonly code: number;
    readonly message: string;
    readonly data?: { readonly reason?: string; readonly mayHaveRun?: unknown };
  };
}

/** Payloads name the session that they belong to, in front of the colon. */
const NONCE = /\b([a-z]+\d+\.\d+):\d+/g;

/** Takes note of one message of a session (or of a stateless call); `own`: on the stream of a call. */
export function note(history: History, story: Story | undefined, prefix: string, data: string, own: boolean): Message {
  if (isForeign(data, prefix)) history.violation('foreign', `${story?.id ?? prefix} (${prefix}) was sent ${data}`);
  const message = JSON.parse(data) as Message;
  const { method, params } = message;
  if (method === 'notifications/progress') noteProgress(history, params, own);
  else if (method === 'notifications/message' && story !== undefined) story.pushed.push(params?.['data'] as Pushed);
  else if (method === 'elicitation/create') {
    const call = history.calls.get(String(params?.['message']));
    if (call !== undefined) call.asked = true;
  }
  return message;
}

function noteProgress(history: History, params: Message['params'], own: boolean): void {
  const [nonce = '', run = ''] = String(params?.['message']).split(' ');
  const progress: Progress = { run, n: Number(params?.['progress']), own };
  history.calls.get(nonce)?.progress.push(progress);
}

export function isAnswer({ method, id }: Message): boolean {
  return method === undefined && id !== undefined;
}

/** What an answer makes of its call. */
export function endingOf({ result, error }: Message): Ending {
  if (error !== undefined) {
    const { reason, mayHaveRun } = error.data ?? {};
    return { kind: 'error', code: error.code, message: error.message, reason, mayHaveRun };
  }
  const [first] = (result?.['content'] ?? []) as Array<{ text?: string }>;
  const text = first?.text ?? '';
  if (result?.['isError'] === true) return { kind: 'tool-error', text };
  try {
    return { kind: 'result', ...(JSON.parse(text) as { value: unknown; by: string; run: string }) };
  } catch {
    return { kind: 'exception', text: `an answer that no tool gives: ${JSON.stringify(result)}` };
  }
}

/** Whether the data of an event is the error that ends a call with this id. */
export function isRefusal(data: string, call: string | number | undefined): boolean {
  if (data === '') return false;
  const { id, error } = JSON.parse(data) as Message;
  return error !== undefined && id === call;
}

/** Whether a response says anything but errors. To a client without a session, or with one that ended, it must not. */
export function isServed({ sse, events, body }: Pick<RawResponse, 'sse' | 'events' | 'body'>): boolean {
  const texts = sse ? events.map(({ data = '' }) => data) : [body];
  return texts.some((text) => {
    if (text === '') return false;
    const { error, result } = JSON.parse(text) as Message;
    return error === undefined && result?.['isError'] !== true;
  });
}

/** Whether a text holds a payload of a session whose nonces begin otherwise. */
export const isForeign = (text: string, prefix: string): boolean =>
  [...text.matchAll(NONCE)].some(([, from]) => from !== prefix);

export const isOver = (call: Call | undefined): boolean => call?.ending !== undefined;
