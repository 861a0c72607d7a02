/** What a message on the wire says about the calls and the session that it belongs to. */
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
  for (const [, from] of data.matchAll(NONCE))
    if (from !== prefix) history.violation('foreign', `${story?.id ?? prefix} (${prefix}) was sent ${data}`);
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

export const isOver = (call: Call | undefined): boolean => call?.ending !== undefined;
