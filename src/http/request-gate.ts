/** Admits requests by the limits of this instance; `src/limits/` implements it. */
import { SojournError } from '../errors.ts';
import type { RpcRequest } from '../protocol/jsonrpc.ts';
import type { Exchange } from './exchange.ts';

export interface AdmittedRequest {
  readonly user: string | undefined;
  /** Of the client's connection, where it is known. */
  readonly address: string | undefined;
  readonly method: string;
  /** The name of the tool of a `tools/call`. */
  readonly tool: string | undefined;
  readonly inSession: boolean;
}

export interface Admission {
  /** The request is over. Later calls do nothing. */
  leave(): void;
}

export interface RequestGate {
  /** Whether requests on sessions must ask too: a limit of users or tools is set. */
  readonly limitsSessions: boolean;
  /** An error: the request is refused. */
  enter(request: AdmittedRequest): Admission | SojournError;
}

/** Admits requests of a session, all or none of them. `undefined`: no limit applies to sessions. */
export function admitOnSession(
  gate: RequestGate,
  exchange: Exchange,
  requests: readonly RpcRequest[],
): readonly Admission[] | SojournError | undefined {
  if (!gate.limitsSessions) return undefined;
  const admissions: Admission[] = [];
  for (const request of requests) {
    const admission = gate.enter(admittedRequest(exchange, request, true));
    if (!(admission instanceof SojournError)) admissions.push(admission);
    else {
      for (const admitted of admissions) admitted.leave();
      return admission;
    }
  }
  return admissions;
}

/** Whose share a caller's use counts in. A caller without a user counts by the address of its connection. */
export function shareKey(user: string | undefined, address: string | undefined): string {
  return user === undefined ? `address ${address ?? 'unknown'}` : `user ${user}`;
}

/** What a gate must know about a request. */
export function admittedRequest(
  exchange: Exchange,
  { method, params }: RpcRequest,
  inSession: boolean,
): AdmittedRequest {
  const name = method === 'tools/call' ? params?.['name'] : undefined;
  return {
    user: exchange.user,
    address: exchange.clientAddress,
    method,
    tool: typeof name === 'string' ? name : undefined,
    inSession,
  };
}
