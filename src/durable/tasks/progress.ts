/** Progress of a handler, as the client of a task is shown it. */
import { isObject } from '../../base/protocol/jsonrpc.ts';
import { roleOf } from '../../base/protocol/methods.ts';

/** `json`: a message that a server sent. `undefined`: it is no progress. */
export function progressIn(json: string): string | undefined {
  const { method, params } = JSON.parse(json) as { method?: unknown; params?: unknown };
  if (typeof method !== 'string' || roleOf(method) !== 'progress' || !isObject(params))
    return undefined;
  const { progress, total, message } = params;
  return progressText(Number(progress), typeof total === 'number' ? total : undefined, message);
}

export function progressText(done: number, total: number | undefined, text: unknown): string {
  const count = total === undefined ? String(done) : `${done} of ${total}`;
  return typeof text === 'string' && text !== '' ? `${text} (${count})` : count;
}
