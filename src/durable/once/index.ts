/** Calls that run once: a call that is sent again gets the outcome of the first. */
export { once, RUNS_ONCE } from './once.ts';
export type { OnceOptions } from './once.ts';
export { nothingDone } from './once-call.ts';
