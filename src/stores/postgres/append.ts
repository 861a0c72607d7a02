/**
 * A write to a session's log: an append with its markers, or markers alone. The writes of one turn are one statement
 * (`log-statements.ts`). Appends that follow each other in a stream become one row of it.
 */
import type { AppendRequest, Fence, Marker } from '../store.ts';
import { bigintArray, booleanArray, integerArray, textArray } from './binary-arrays.ts';
import { canJoin } from '../shared/joined-appends.ts';
import { packEvents } from '../shared/packed-events.ts';
import type { AppendParts } from './log-statements.ts';
import type { Value } from './pg.ts';

export class Append {
  readonly sessionId: string;
  readonly fence: Fence;
  /** `null`: markers alone. */
  readonly stream: string | null;
  readonly from: number;
  readonly events: string[];
  bytes = 0;
  complete: boolean;
  requests: string | null;
  readonly mark: Marker | undefined;
  unmark: Marker | undefined;

  private constructor(sessionId: string, fence: Fence, given: Given, marks: Marks) {
    this.sessionId = sessionId;
    this.fence = fence;
    this.stream = given.stream ?? null;
    this.from = given.from ?? 0;
    this.events = [...(given.events ?? [])];
    this.complete = given.complete ?? false;
    this.requests = given.requests ?? null;
    this.mark = marks.mark;
    this.unmark = marks.unmark;
    for (const event of this.events) this.bytes += Buffer.byteLength(event);
  }

  /** `logged`: whether the store keeps a log. */
  static of(request: AppendRequest, logged: boolean): Append {
    const { sessionId, fence, stream, mark, unmark } = request;
    const marks = { mark, unmark: unmark === undefined ? undefined : { request: unmark, stream } };
    return new Append(sessionId, fence, logged ? request : {}, marks);
  }

  static ofMarks(sessionId: string, fence: Fence, marks: Marks): Append {
    return new Append(sessionId, fence, {}, marks);
  }

  /** A copy for a batch, which may join others to it. */
  copy(): Append {
    const { sessionId, fence, stream, from, events, complete, requests, mark, unmark } = this;
    const given = { stream, from, events, complete, requests };
    return new Append(sessionId, fence, given, { mark, unmark });
  }

  /** `false`: `next` does not follow directly, or has another fence; it stays a separate append. */
  join(next: Append): boolean {
    if (this.stream === null || this.stream !== next.stream || !canJoin(this, next)) return false;
    for (const event of next.events) this.events.push(event);
    this.bytes += next.bytes;
    this.complete = next.complete;
    this.requests ??= next.requests;
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
  readonly requests?: string | null;
}

interface Marks {
  readonly mark?: Marker | undefined;
  readonly unmark?: Marker | undefined;
}

export function partsOf(appends: readonly Append[]): AppendParts {
  return {
    opens: appends.some(({ stream, complete }) => stream !== null && !complete),
    completes: appends.some(({ complete }) => complete),
    marks: appends.some(({ mark }) => mark !== undefined),
    unmarks: appends.some(({ unmark }) => unmark !== undefined),
  };
}

/** The values of the statement after the deployment. `appends` is not empty. */
export function appendValues(appends: readonly Append[]): Value[] {
  const texts = (of: (append: Append) => string | null | undefined): Buffer =>
    textArray(appends.map((append) => of(append) ?? null));
  return [
    texts(({ sessionId }) => sessionId),
    bigintArray(appends.map(({ fence }) => fence.epoch)),
    texts(({ fence }) => fence.owner),
    texts(({ stream }) => stream),
    integerArray(appends.map(({ from }) => from)),
    integerArray(appends.map(({ events }) => events.length)),
    integerArray(appends.map(({ bytes }) => bytes)),
    texts(({ events }) => (events.length === 0 ? null : packEvents(events))),
    booleanArray(appends.map(({ complete }) => complete)),
    texts(({ requests }) => requests),
    texts(({ mark }) => mark?.request),
    texts(({ mark }) => mark?.stream),
    texts(({ unmark }) => unmark?.request),
    texts(({ unmark }) => unmark?.stream),
  ];
}
