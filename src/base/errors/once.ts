/** Calls of a tool that runs once for each key (`durable/once/once.ts`). */
import { quoted } from '../shown.ts';
import { ended, SojournError } from './sojourn-error.ts';

/** An earlier call with this key had other arguments. This one has not run. */
export const onceConflict = (): SojournError =>
  ended(
    'ONCE_CONFLICT',
    'An earlier call with the same key had other arguments; this call did not run',
  );

export const onceNeedsUser = (tool: string): SojournError =>
  ended(
    'ONCE_NEEDS_USER',
    `The tool ${quoted(tool)} runs once for each key of a user or a session, and this call has neither; it did not run`,
  );

/**
 * The first client got the result of the key, which had more than so many bytes, or no room. `undefined`: later results
 * of its user have the room of the result of a task, or there was none.
 */
export const resultNotKept = (bytes?: number): SojournError =>
  ended(
    'RESULT_NOT_KEPT',
    bytes === undefined
      ? 'The task may have run, and its result is not kept: later results of this user have its room, there was none, or it was deleted'
      : `An earlier call with the same key may have run, and its result is not kept: it has more than ${bytes} bytes, there was no room, or it was deleted`,
    true,
  );

/** Its run was aborted: by its client, by its time limit, or by the end of its server. */
export const onceAborted = (): SojournError =>
  ended('ONCE_ABORTED', 'The run of this call was cancelled; it may have run', true);

/** For the log of the author, and the `isError` result of the call. */
export const onceWithinItself = (tool: string): SojournError =>
  new SojournError(
    'ONCE_WITHIN_ITSELF',
    `The handler of ${quoted(tool)} called itself with its own key: it would wait for itself for ever`,
  );

export const onceKeyInvalid = (tool: string, what: string): SojournError =>
  new SojournError(
    'ONCE_KEY_INVALID',
    `key() of the tool ${quoted(tool)} returned ${what}; it must return a text of 1 to 512 characters`,
  );

/** `why`: the cause. */
export const onceOutside = (why: string): SojournError =>
  new SojournError(
    'OUTSIDE_HANDLER',
    `A handler of once() cannot tell whether this call ran before: ${why}. To run it all the same: withoutEndpoint: 'run'`,
  );
