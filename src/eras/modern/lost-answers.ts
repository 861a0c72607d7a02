/**
 * 2026-07-28 cannot resume a response: when its connection breaks, the request is cancelled. Clients of most SDKs come
 * back all the same, with a GET and the last event id that they saw, and those that saw none wait for their timeout. So
 * each stream begins with an event that has an id, and this GET is answered at once: an error says that the request may
 * have run.
 *
 * Event ids: `m-secret.call`, with `call` as in `session/event-id.ts`; `.e` at the end when nothing follows. No session
 * guards them, so each has a secret of 128 bits.
 */
import type { Exchange, HeaderList } from '../../http/exchange.ts';
import { answerNotKept } from '../../errors.ts';
import { errorJson, lostForm } from '../../http/answer.ts';
import { messageFrame, primingFrame, SSE_HEADERS } from '../../http/sse.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import { base64url, type RandomSource } from '../../options/system.ts';
import type { RpcRequest } from '../../protocol/jsonrpc.ts';
import { type CallName, callSuffix, parseCallSuffix } from '../../session/event-id.ts';

const SECRET_BYTES = 16;
const PATTERN = /^m-[0-9A-Za-z_-]{22}(\.[isbISB][0-9A-Za-z_-]{1,86})(\.e)?$/;
const ENDED = '.e';
const NO_HEADERS: HeaderList = [];

interface LostCall extends CallName {
  /** Its client has the error already. */
  readonly ended: boolean;
}

function parse(lastEventId: string | undefined): LostCall | undefined {
  const [, call, ended] = PATTERN.exec(lastEventId ?? '') ?? [];
  const name = call === undefined ? undefined : parseCallSuffix(call);
  return name && { ...name, ended: ended !== undefined };
}

/** Whether a GET asks for what followed on the stream of a 2026-07-28 request. */
export function asksForLostAnswer(exchange: Exchange): boolean {
  return exchange.method === 'GET' && parse(exchange.header('last-event-id')) !== undefined;
}

export function respondLostAnswer(exchange: Exchange, options: Pick<ResolvedOptions, 'lostCalls'>): void {
  const lastEventId = exchange.header('last-event-id') ?? '';
  const call = parse(lastEventId);
  if (call === undefined || call.ended) return exchange.respond(204, NO_HEADERS);
  const form = lostForm(options, call.isTool ? 'tools/call' : undefined, 'modern');
  const json = errorJson(answerNotKept(), call.id, form);
  exchange.respond(200, SSE_HEADERS, messageFrame(json, `${lastEventId}${ENDED}`));
}

/** The first event of a stream; empty where its request has an id that no event id can carry. */
export function firstEvent({ id, method }: RpcRequest, random: RandomSource, retryMs: number): string {
  const call = callSuffix(id, method === 'tools/call');
  return call === '' ? '' : primingFrame(`m-${base64url(random(SECRET_BYTES))}${call}`, retryMs, true);
}
