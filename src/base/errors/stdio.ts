/** Calls in a child of `sojourn stdio`. Their words are those of `lost-calls.ts`. */
import { ended, type SojournError, unavailable } from './sojourn-error.ts';

/** `what`: which child, and how it ended. */
export const childEnded = (what: string, mayHaveRun: boolean): SojournError =>
  ended(
    'CHILD_ENDED',
    `${what}; the call ${mayHaveRun ? 'may have run' : 'did not run'}`,
    mayHaveRun,
  );

/** `why`: how long a call has waited for its turn, or how many others do. */
export const childrenStarting = (why: string): SojournError =>
  unavailable('CHILDREN_STARTING', `too many children start at once: ${why}; try again later`);

/** `limit`: children that may live at once, of all callers or of one. */
export const childrenBusy = (limit: number, ofCaller: boolean): SojournError =>
  unavailable(
    'CHILDREN_BUSY',
    ofCaller
      ? `all ${limit} children that one caller may have are busy; try again later`
      : `all ${limit} children are busy; try again later (--max-children)`,
  );
