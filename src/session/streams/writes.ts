/** What one append to the log carries: several events of a stream that wait for their store. */
import type { MaybePromise, WriteOutcome } from '../../stores/store.ts';
import type { AppendExtra, CarriedExtra, SessionEventLog, WriteResult } from './event-log.ts';

/** An event that waits. */
export interface Write {
  /** `undefined`: the stream completes without an event. */
  readonly json: string | undefined;
  readonly last: boolean;
  readonly extra: AppendExtra | undefined;
  tell: ((result: WriteResult) => void) | undefined;
  /** Charged to the memory budget. */
  readonly held: number;
}

/** Appends them at the offset `next`. */
export function appendAll(
  log: SessionEventLog,
  stream: string,
  next: number,
  writes: readonly Write[],
): MaybePromise<WriteOutcome> {
  const [first, last] = [writes[0], writes.at(-1)];
  const completes = last?.last === true;
  const carried = carriedBy(first?.extra, last?.extra, completes);
  const events = writes.flatMap(({ json }) => json ?? []);
  return log.append(stream, next, events, completes, carried);
}

/**
 * What the append that begins with one write and ends with another carries. A stream's marker comes with its first
 * write and goes with its last, so no write between them carries any.
 */
export function carriedBy(
  first: AppendExtra | undefined,
  last: AppendExtra | undefined,
  completes: boolean,
): CarriedExtra | undefined {
  if (first === undefined && last === undefined) return undefined;
  return { note: completes ? undefined : first?.note?.(), mark: first?.mark, unmark: last?.unmark };
}
