/** Continues with an answer of a store, at once if it is there: the memory store makes no promise. */
import type { MaybePromise } from '../../types.ts';

export function after<T, U>(answer: MaybePromise<T>, next: (value: T) => MaybePromise<U>): MaybePromise<U> {
  return answer instanceof Promise ? answer.then(next) : next(answer);
}

/** What `run` returns. `done` or `failed` hears of it first, in this turn where the store answers in it. */
export function followed<T>(
  run: () => MaybePromise<T>,
  done: (value: T) => void,
  failed: (cause: unknown) => void,
): MaybePromise<T> {
  const heard = (value: T): T => {
    done(value);
    return value;
  };
  const threw = (cause: unknown): never => {
    failed(cause);
    throw cause;
  };
  let value: MaybePromise<T>;
  try {
    value = run();
  } catch (cause) {
    return threw(cause);
  }
  return value instanceof Promise ? value.then(heard, threw) : heard(value);
}
