/**
 * The way of a client's messages into a server, step by step:
 *
 *     authorize ─▶ scopes ─▶ (a retry?) ─▶ limits, ids ─▶ store ─▶ begin the response ─▶ dispatch
 *
 * `dispatch` leads to the place where a call enters a server: `SessionTransport.deliver`, or
 * `OneRequestTransport.deliver` without a session. `middleware` runs there (`session/calls/around-requests.ts`), also
 * for calls that run again.
 *
 * A list of steps is the order of one way in: of messages of a session in `sessions/posts.ts`, of messages without a
 * session in `sessionless-requests.ts`. None has a step that its era does not need. A step is synchronous where it waits
 * for nothing: a call whose hooks are synchronous is dispatched in the turn of its POST.
 */
import type { Inbound } from '../session/inbound/inbound.ts';
import type { SojournError } from '../base/errors.ts';
import type { CallerRequest } from '../http/caller-request.ts';
import type { RpcRequest } from '../base/protocol/jsonrpc.ts';
import { type Authorizer, withAll } from '../http/auth/hook-authorizer.ts';
import type { ScopeCheck } from '../session/calls/scopes.ts';
import type { MaybePromise } from '../stores/store.ts';

/**
 * What a step says. `undefined`: the next step follows. An error refuses the messages. `done`: they need no further
 * step. A POST: its session is to be found again, and this is for the next attempt.
 */
export type Stop = SojournError | Inbound | 'done' | undefined;

/** Messages on their way in. */
export interface EnteringMessages {
  readonly caller: CallerRequest;
  readonly authorizer: Authorizer | undefined;
  readonly transport: ScopeCheck | undefined;
  readonly requests: readonly RpcRequest[];
  /** Those that `authorize` lets their caller send. The others get their server's answer for an unknown name. */
  allowed: readonly RpcRequest[];
  /** Asked after a step that waited: what ends the way in, if the session or the client has left. */
  stopIfLeft(): Stop;
}

export type LadderSteps<E extends EnteringMessages> = ReadonlyArray<
  (entry: E) => MaybePromise<Stop>
>;

/** Takes the steps until one of them stops. Returns a promise only where a step does. */
export function climb<E extends EnteringMessages>(
  steps: LadderSteps<E>,
  entry: E,
  from = 0,
): MaybePromise<Stop> {
  for (let n = from; n < steps.length; n += 1) {
    const stop = steps[n]?.(entry);
    if (stop instanceof Promise)
      return stop.then((late) => late ?? entry.stopIfLeft() ?? climb(steps, entry, n + 1));
    if (stop !== undefined) return stop;
  }
  return undefined;
}

/** It precedes the scopes, which differ for what exists. */
export function authorize(entry: EnteringMessages): MaybePromise<undefined> {
  const { authorizer, requests, caller } = entry;
  if (authorizer === undefined) return undefined;
  const decided = requests.map((request) => authorizer.allows(request, caller.authInfo));
  return withAll(
    decided,
    (allows) => void (entry.allowed = requests.filter((_, n) => allows[n] === true)),
  );
}

export function scopes({
  authorizer,
  transport,
  allowed,
  caller,
}: EnteringMessages): MaybePromise<SojournError | undefined> {
  if (transport === undefined)
    throw new Error('A message without a transport, whose scopes cannot be checked');
  return transport.checkScopes(allowed, caller.authInfo ?? authorizer?.unscoped(caller.url));
}
