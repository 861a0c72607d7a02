/** A request that passed the door, on its way to an era. */
import type { RequestId } from '@modelcontextprotocol/server';
import type { Checked } from '../protocol/jsonrpc.ts';
import type { Exchange } from '../http/exchange.ts';

export interface InboundPost {
  readonly exchange: Exchange;
  /** Valid messages; more than one only in a batch. */
  readonly messages: readonly Checked[];
  readonly batch: boolean;
  /** The body's text; `undefined` where the caller had parsed it. */
  readonly text: string | undefined;
}

/** The id an error about a POST carries. */
export function echo({ batch, messages: [first] }: InboundPost): RequestId | null {
  return !batch && first?.kind === 'request' ? first.message.id : null;
}
