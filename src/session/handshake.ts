/** The handshakes of clients. Clients of one kind send the same, and all their sessions share one copy. */
import { type InitializeRequestParams, isInitializeRequest } from '@modelcontextprotocol/server';
import { handshakeTooLarge, invalidParams, type SojournError } from '../errors.ts';
import type { RpcRequest } from '../protocol/jsonrpc.ts';
import type { Handshake } from '../stores/store.ts';
import { Interned } from './interned.ts';

const handshakes = new Interned<Handshake>();

/** The handshake of an `initialize` whose shape the caller has checked. */
export function handshakeOf(params: InitializeRequestParams): Handshake {
  return handshakes.intern(JSON.stringify(params), () => freeze(params));
}

/** The handshake of an `initialize`, or what is wrong with it. A known handshake is not checked again. */
export function checkedHandshake(message: RpcRequest, mostBytes: number): Handshake | SojournError {
  const json = JSON.stringify(message.params) ?? '';
  if (Buffer.byteLength(json) > mostBytes) return handshakeTooLarge(mostBytes);
  const known = handshakes.known(json);
  if (known !== undefined) return known;
  if (isInitializeRequest(message)) return handshakeOf(message.params);
  return invalidParams('initialize needs protocolVersion, capabilities and clientInfo (name, version)');
}

/** Sessions share the value, so it must not change. */
function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) Object.values(Object.freeze(value)).forEach(freeze);
  return value;
}
