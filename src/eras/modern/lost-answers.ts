/**
 * 2026-07-28 cannot resume a response: when its connection breaks, the request is cancelled. Clients of most SDKs come
 * back all the same, with a GET and the last event id that they saw, and those that saw none wait for their timeout. So
 * each stream begins with an event that has an id (`call-position.ts`), and this GET is answered at once: an error says
 * that the request may have run. With the option `resumeModernCalls` the GET gets the answer (`resumable-calls.ts`).
 */
import type { SojournError } from '../../errors.ts';
import { errorJson, lostForm } from '../../http/answer.ts';
import type { Reader } from '../../http/reader.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import { type CallPosition, formatCallPosition, resumedPosition } from './call-position.ts';

/** A clean end, after which the client comes back with a new event id. Some clients hang when a resume is refused. */
export function respondComeBack(reader: Reader, position: CallPosition, retryMs: number): void {
  reader.point(formatCallPosition(resumedPosition(position)), retryMs, true);
  reader.end();
}

/** An error as an event. Its id says that nothing follows, because some clients return after every error. */
export function respondLostAnswer(
  reader: Reader,
  position: CallPosition,
  error: SojournError,
  options: Pick<ResolvedOptions, 'lostCalls'>,
): void {
  const form = lostForm(options, position.isTool ? 'tools/call' : undefined, 'modern');
  const json = errorJson(error, position.id, form);
  reader.message(json, formatCallPosition({ ...position, ended: true }));
  reader.end();
}
