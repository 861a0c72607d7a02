/** The appends of one turn as one statement (`log-statements.ts`). */
import type { JoinedAppend } from '../shared/joined-append.ts';
import { packEvents } from '../shared/packed-events.ts';
import type { AppendParts } from './log-statements.ts';
import type { Value } from './pg.ts';
import { textArray } from './text-array.ts';

/** The streams whose rows an append may change. */
export function streamsOf({ stream, mark, unmark }: JoinedAppend): readonly string[] {
  return [...new Set([stream, mark?.stream, unmark?.stream])].filter((name) => typeof name === 'string');
}

export function partsOf(appends: readonly JoinedAppend[]): AppendParts {
  return {
    opens: appends.some(({ stream, complete }) => stream !== null && !complete),
    completes: appends.some(({ complete }) => complete),
    marks: appends.some(({ mark }) => mark !== undefined),
    unmarks: appends.some(({ unmark }) => unmark !== undefined),
  };
}

/** The values of the statement after the space. `appends` is not empty. */
export function appendValues(appends: readonly JoinedAppend[]): Value[] {
  const texts = (of: (append: JoinedAppend) => string | null | undefined): Buffer =>
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
