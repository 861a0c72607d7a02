/** Continues with an answer of a store, at once if it is there: the memory store makes no promise. */
import type { MaybePromise } from '../../base/types.ts';

export function after<T, U>(
  answer: MaybePromise<T>,
  next: (value: T) => MaybePromise<U>,
): MaybePromise<U> {
  return answer instanceof Promise ? answer.then(next) : next(answer);
}
