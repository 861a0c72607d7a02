/**
 * The 2024-11-05 transport (`legacySse`): GET …/sse opens the stream of a session, POST …/message?sessionId=… takes its
 * messages, and every answer goes to the stream. The session begins with `initialize`, and ends with that connection
 * (`sse-connection.ts`). No message of it is stored, so nothing can be resumed.
 */
import {
  batchNotAllowed,
  bodyTooLarge,
  draining,
  methodNotAllowed,
  notAcceptable,
  otherUser,
  unsupportedMediaType,
} from '../../base/errors.ts';
import { isJsonContentType } from '@modelcontextprotocol/server';
import { accepted } from '../../http/head-checks.ts';
import { answerable, refuse, refusePlain } from '../../http/answer.ts';
import { ID_SOUGHT, type RefusedBody } from '../../http/body.ts';
import { type Exchange, guarded } from '../../http/exchange.ts';
import { idText } from '../../base/system.ts';
import { readMessages } from '../message-checks.ts';
import type { LegacyEra } from './legacy-era.ts';
import { SseConnection } from './sse-connection.ts';

const ID_BYTES = 16;
const NOT_FOUND = 'Session not found: open GET /sse first';

/** `undefined`: not a path of this transport. */
export function legacySsePath(url: string): 'sse' | 'message' | undefined {
  const path = url.split('?', 1)[0]?.replace(/\/$/, '') ?? '';
  if (path.endsWith('/sse')) return 'sse';
  return path.endsWith('/message') ? 'message' : undefined;
}

export class LegacySseEra {
  readonly #legacy: LegacyEra;
  readonly #connected = new Map<string, SseConnection>();

  constructor(legacy: LegacyEra) {
    this.#legacy = legacy;
  }

  /** Host and Origin have been checked. */
  serve(exchange: Exchange, path: 'sse' | 'message'): void {
    const allowed = path === 'sse' ? 'GET' : 'POST';
    if (exchange.method !== allowed)
      refuse(exchange, methodNotAllowed(exchange.method, allowed), null);
    else if (path === 'sse') this.#connect(exchange);
    else this.#message(exchange);
  }

  #connect(exchange: Exchange): void {
    const { gate, options } = this.#legacy.parts;
    const refusal = accepted(exchange.header('accept')).stream
      ? gate.count(exchange)
      : notAcceptable('text/event-stream');
    if (refusal !== undefined) return refuse(exchange, refusal, null);
    const failed = (cause: unknown): void =>
      refuse(exchange, answerable(cause, options.logger, 'A connection could not be opened'), null);
    guarded(exchange, () => this.#begin(exchange).catch(failed));
  }

  /** Connections count against the limits of sessions, users and memory like the sessions of the registry. */
  async #begin(exchange: Exchange): Promise<void> {
    const { registry, random } = this.#legacy.parts;
    if (registry.lifecycle.prefersOthers) throw draining();
    const leavePlaces = await registry.takePlaces(exchange, 0);
    if (exchange.closed) return leavePlaces();
    const id = idText(random(ID_BYTES));
    const connection = new SseConnection(this.#legacy, id, exchange, leavePlaces);
    this.#connected.set(id, connection);
    const sinkClosed = (): void => {
      this.#connected.delete(id);
      connection.over();
    };
    connection.response.listener = { sinkClosed };
  }

  #message(exchange: Exchange): void {
    const id = new URLSearchParams(exchange.url.split('?', 2)[1]).get('sessionId');
    if (id === null) return refusePlain(exchange, 'Missing sessionId parameter');
    const connection = this.#connected.get(id);
    if (connection?.exchange.served?.path !== exchange.served?.path)
      return refusePlain(exchange, NOT_FOUND);
    if (connection === undefined) return refusePlain(exchange, NOT_FOUND);
    if (connection.exchange.userKey !== exchange.userKey)
      return refuse(exchange, otherUser(), null);
    const type = exchange.header('content-type');
    if (!isJsonContentType(type)) return refuse(exchange, unsupportedMediaType(type), null);
    const { bodyBytes, bodyKeys } = this.#legacy.parts.options.limits;
    const idWithin = ID_SOUGHT * bodyBytes;
    if (Number(exchange.header('content-length')) > idWithin)
      return refuse(exchange, bodyTooLarge(bodyBytes), null);
    exchange.readBody({ bytes: bodyBytes, keys: bodyKeys, idWithin }, (read) => {
      const post = typeof read === 'string' ? readMessages(exchange, read) : read;
      if ('error' in post) return refuseBody(exchange, connection, post);
      if (post.batch)
        return refuseBody(exchange, connection, { error: batchNotAllowed('a batch'), id: null });
      // The session may have ended while the body arrived.
      if (this.#connected.has(id)) connection.take(exchange, post);
      else refusePlain(exchange, NOT_FOUND);
    });
  }

  /** Ends every connection, cleanly. */
  close(): void {
    for (const { response } of this.#connected.values()) response.end();
  }
}

/** The refusal of an invalid message without an id is plain text. */
function refuseBody(
  exchange: Exchange,
  connection: SseConnection,
  { error, id }: RefusedBody,
): void {
  if (id === null && error.status === 400)
    refusePlain(exchange, `Invalid message: ${error.message}`);
  else connection.refuse(exchange, error, id);
}
