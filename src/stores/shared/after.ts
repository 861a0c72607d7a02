/** Continues with an answer of a store, at once if it is there: the memory store makes no promise. */
import type { MaybePromise } from '../../base/types.ts';

export function after<T, U>(
  answer: MaybePromise<T>,
  next: (value: T) => MaybePromise<U>,
): MaybePromise<U> {
  return answer instanceof Promise ? answer.then(next) : next(answer);
}

/** Repeats a step until it has an answer. Where each comes at once the stack does not grow, however many there are. */
export function repeated<T>(step: () => MaybePromise<T | undefined>): MaybePromise<T> {
  for (;;) {
    const answer = step();
    if (answer instanceof Promise)
      return answer.then((found) => (found === undefined ? repeated(step) : found));
    if (answer !== undefined) return answer;
  }
}
