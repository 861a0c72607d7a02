/**
 * 2026-07-28 cannot resume a response: when its connection breaks, the request is cancelled. Clients of most SDKs come
 * back all the same, with a GET and the last event id that they saw, and those that saw none wait for their timeout. So
 * each stream begins with an event that has an id (`call-position.ts`), and this GET is answered at once: an error says
 * that the request may have run. A call that must outlive its connection is a task.
 */
import { answerNotKept } from '../../errors.ts';
import { errorJson, lostForm } from '../../http/answer.ts';
import type { Sink } from '../../http/sink.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import { endedId } from '../../session/streams/event-id.ts';
import type { CallPosition } from '../call-position.ts';

/** An error as an event. Its id says that nothing follows, because some clients return after every error. */
export function respondLost(sink: Sink, position: CallPosition, options: Pick<ResolvedOptions, 'lostCalls'>): void {
  const form = lostForm(options, position.isTool ? 'tools/call' : undefined, 'modern');
  sink.message(errorJson(answerNotKept(), position.call, form), endedId(position));
  sink.end();
}
