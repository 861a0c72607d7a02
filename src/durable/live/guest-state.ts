/** What a handler that runs at another instance asks of the state of its session (`durable/live/`). */
import { isDeepStrictEqual } from 'node:util';
import type { State } from '../../base/types.ts';

/** The method of these requests between instances. No client gets them. */
export const STATE_METHOD = 'sojourn/state';

/** `swap`: `value` is stored where `was` is stored now. The answer says whether it was. */
export interface StateAsked {
  readonly [member: string]: unknown;
  readonly op: 'get' | 'set' | 'delete' | 'entries' | 'swap';
  readonly key?: string;
  readonly value?: unknown;
  readonly was?: unknown;
}

/** `state` undefined: the call has no session. */
export async function answerState(
  state: State | undefined,
  { op, key = '', value, was }: StateAsked,
): Promise<unknown> {
  if (state === undefined) throw new Error('This call has no session');
  if (op === 'set') return state.set(key, value);
  if (op === 'entries') return state.entries();
  if (op !== 'swap') return state[op](key);
  let isSwapped = false;
  await state.update(key, (current: unknown) => {
    isSwapped = isDeepStrictEqual(current, was);
    return isSwapped ? value : undefined;
  });
  return isSwapped;
}
