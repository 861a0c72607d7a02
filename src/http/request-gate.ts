/** Admits requests by the limits of this instance; `src/limits/` implements it. */
import { SojournError } from '../errors.ts';
import { type RpcRequest, toolOf } from '../protocol/jsonrpc.ts';
import type { Caller } from './exchange.ts';

/** The places of a request. */
export interface Admission {
  /**
   * Takes a place of the called tool as well. Call it when `authorize` and the scopes have allowed the call. An error:
   * the call is refused, costs its user nothing, and has left.
   */
  enterTool(tool: string | undefined): SojournError | undefined;
  /** The request has ended, and its handler has settled. Later calls do nothing. */
  leave(): void;
}

export type CountedRequest = Pick<Caller, 'user' | 'clientAddress' | 'relayOrigin'>;

export interface RequestGate {
  /** Whether requests on sessions must ask too: a limit of users or tools is set. */
  readonly limitsSessions: boolean;
  /** An error: the request is refused. */
  enter(caller: CountedRequest, method: string, inSession: boolean): Admission | SojournError;
  /**
   * Counts a GET, a DELETE or an `initialize` in the requests of its user in a minute. An error: it is refused. The
   * instance that has the client counts a relayed request.
   */
  count(request: CountedRequest): SojournError | undefined;
}

/** Admits requests of a session, all or none of them. `undefined`: no limit applies to sessions. */
export function admitOnSession(
  gate: RequestGate,
  exchange: Caller,
  requests: readonly RpcRequest[],
): readonly Admission[] | SojournError | undefined {
  if (!gate.limitsSessions) return undefined;
  const admissions: Admission[] = [];
  for (const request of requests) {
    const admission = gate.enter(exchange, request.method, true);
    const refusal = admission instanceof SojournError ? admission : admission.enterTool(toolOf(request));
    if (refusal !== undefined) {
      for (const admitted of admissions) admitted.leave();
      return refusal;
    }
    admissions.push(admission as Admission);
  }
  return admissions;
}

/** Whose share a caller's use counts in. A caller without a user counts by the address of its connection. */
export function shareKey(user: string | undefined, address: string | undefined): string {
  return user === undefined ? `address ${address ?? 'unknown'}` : `user ${user}`;
}
