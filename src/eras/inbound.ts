/** A request that passed the door, on its way to an era. Handed over by reference when another instance owns its session. */
import type { Checked } from '../jsonrpc.ts';
import type { Exchange } from '../http/exchange.ts';

export interface InboundPost {
  readonly exchange: Exchange;
  /** Valid messages; more than one only in a batch. */
  readonly messages: readonly Checked[];
  readonly batch: boolean;
  /** The body's text; `undefined` where the caller had parsed it. */
  readonly text: string | undefined;
}
