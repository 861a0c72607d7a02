/** What a handler of `once()` throws to say what its run has done. */

const undone = new WeakSet<Error>();

/**
 * To throw in a handler of `once()`: the call had no effect, so its key may run again. Returns the error, which is
 * answered as any other.
 */
export function nothingDone(error: Error): Error {
  undone.add(error);
  return error;
}

export const isUndone = (cause: unknown): boolean => cause instanceof Error && undone.has(cause);

/** `afterCrash` of the application does not know what the lost run has done. */
export class OutcomeUnknown extends Error {}

/** `afterCrash` of the application threw: the next call with this key asks again. */
export class UnaskedCrash extends Error {}
