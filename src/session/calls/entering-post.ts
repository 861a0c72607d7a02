/** The requests of one POST into a session. */
import type { CallerRequest } from '../../http/exchange.ts';
import type { RpcRequest } from '../../protocol/jsonrpc.ts';
import type { Call } from './call.ts';
import type { Stream } from '../streams/stream.ts';

/** A POST on its way into a session. */
export interface EnteringPost {
  readonly caller: CallerRequest;
  /** The answers leave as one JSON body. */
  readonly answersOnly: boolean;
  /** The requests that `authorize` lets their caller send. */
  readonly allowed: readonly RpcRequest[];
  /** How often its requests run, this run included. */
  readonly attempt: number;
}

/** A POST whose requests have their ids. */
export interface AdmittedPost {
  readonly caller: CallerRequest;
  readonly requests: readonly RpcRequest[];
  readonly stream: Stream;
  /** One for each request. */
  readonly calls: readonly Call[];
}
