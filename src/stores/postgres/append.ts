/**
 * A write to a record's log: an append with its marks, or marks alone. The writes of one turn are one statement
 * (`log-statements.ts`). Appends that follow each other in a stream become one row of it.
 */
import type { AppendRequest, Fence, Mark } from '../store.ts';
import { textArray } from './text-array.ts';
import { canJoin } from '../shared/joined-appends.ts';
import { packEvents } from '../shared/packed-events.ts';
import type { AppendParts } from './log-statements.ts';
import type { Value } from './pg.ts';

export class Append {
  readonly id: string;
  readonly fence: Fence;
  /** `null`: marks alone. */
  readonly stream: string | null;
  readonly from: number;
  readonly events: string[];
  bytes = 0;
  complete: boolean;
  note: string | null;
  readonly mark: Mark | undefined;
  unmark: Mark | undefined;

  private constructor(id: string, fence: Fence, given: Given, marks: Marks) {
    this.id = id;
    this.fence = fence;
    this.stream = given.stream ?? null;
    this.from = given.from ?? 0;
    this.events = [...(given.events ?? [])];
    this.complete = given.complete ?? false;
    this.note = given.note ?? null;
    this.mark = marks.mark;
    this.unmark = marks.unmark;
    for (const event of this.events) this.bytes += Buffer.byteLength(event);
  }

  /** `logged`: whether the store keeps a log. */
  static of(request: AppendRequest, logged: boolean): Append {
    const { id, fence, stream, mark, unmark } = request;
    const marks = { mark, unmark: unmark === undefined ? undefined : { name: unmark, stream } };
    return new Append(id, fence, logged ? request : {}, marks);
  }

  static ofMarks(id: string, fence: Fence, marks: Marks): Append {
    return new Append(id, fence, {}, marks);
  }

  /** A copy for a batch, which may join others to it. */
  copy(): Append {
    const { id, fence, stream, from, events, complete, note, mark, unmark } = this;
    const given = { stream, from, events, complete, note };
    return new Append(id, fence, given, { mark, unmark });
  }

  /** `false`: `next` does not follow directly, or has another fence; it stays a separate append. */
  join(next: Append): boolean {
    if (this.stream === null || this.stream !== next.stream || !canJoin(this, next)) return false;
    for (const event of next.events) this.events.push(event);
    this.bytes += next.bytes;
    this.complete = next.complete;
    this.note ??= next.note;
    this.unmark = next.unmark;
    return true;
  }

  /** The streams whose rows this append may change. */
  streams(): readonly string[] {
    const { stream, mark, unmark } = this;
    return [...new Set([stream, mark?.stream, unmark?.stream])].filter((name) => typeof name === 'string');
  }
}

interface Given {
  readonly stream?: string | null;
  readonly from?: number;
  readonly events?: readonly string[];
  readonly complete?: boolean;
  readonly note?: string | null;
}

interface Marks {
  readonly mark?: Mark | undefined;
  readonly unmark?: Mark | undefined;
}

export function partsOf(appends: readonly Append[]): AppendParts {
  return {
    opens: appends.some(({ stream, complete }) => stream !== null && !complete),
    completes: appends.some(({ complete }) => complete),
    marks: appends.some(({ mark }) => mark !== undefined),
    unmarks: appends.some(({ unmark }) => unmark !== undefined),
  };
}

/** The values of the statement after the space. `appends` is not empty. */
export function appendValues(appends: readonly Append[]): Value[] {
  const texts = (of: (append: Append) => string | null | undefined): Buffer =>
    textArray(appends.map((append) => of(append) ?? null));
  return [
    texts(({ id }) => id),
    appends.map(({ fence }) => fence.epoch),
    texts(({ fence }) => fence.owner),
    texts(({ stream }) => stream),
    appends.map(({ from }) => from),
    appends.map(({ events }) => events.length),
    appends.map(({ bytes }) => bytes),
    texts(({ events }) => (events.length === 0 ? null : packEvents(events))),
    appends.map(({ complete }) => complete),
    texts(({ note }) => note),
    texts(({ mark }) => mark?.name),
    texts(({ mark }) => mark?.stream),
    texts(({ unmark }) => unmark?.name),
    texts(({ unmark }) => unmark?.stream),
  ];
}
