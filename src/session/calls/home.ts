/** A call that runs at another instance: its way back to its client, and its server there. */
import type { JSONRPCMessage, TransportSendOptions } from '@modelcontextprotocol/server';
import type { RpcMessage, RpcRequest } from '../../base/protocol/jsonrpc.ts';

/** The way back of a call to its client: the transport of its server here. */
export interface Home {
  /** The call is about to be served at another instance. */
  begin?(): void;
  send(message: JSONRPCMessage, options?: TransportSendOptions): Promise<void>;
  /** The tool of a call for which no server was made here yet, as a server of its caller has it. */
  toolOf?(request: RpcRequest): Promise<unknown>;
}

/** The server of a call, at another instance. It gets the answers to what it asked through the home of the call. */
export interface FarServer {
  /** Tells its questions from those of the server here. */
  readonly name: string;
  replied(message: RpcMessage): void;
  /** That instance, or the link to it, refused the call: how it ends is seen here alone. */
  readonly isRefused: boolean;
}

/** What its client says to a server. `far`: where that is at another instance. */
export interface ForServer<Message> {
  readonly message: Message;
  readonly far?: FarServer | undefined;
}
