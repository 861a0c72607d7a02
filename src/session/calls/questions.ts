/**
 * Server→client requests (questions) that wait for their answer. A server numbers them from 0 on every instance, so on
 * the wire an id carries the epoch: the answer to a question of an earlier owner matches no question of the present
 * owner. The SDK uses the number as progress token too, and the token is rewritten in the same way.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { isObject, type RpcNotification, type RpcRequest, type RpcResponse } from '../../protocol/jsonrpc.ts';
import type { Stream } from '../streams/stream.ts';

interface Question {
  /** The server's. */
  readonly id: RequestId;
  readonly unlogged: { readonly stream: Stream; readonly json: string } | undefined;
}

export class Questions {
  readonly #ownership: { readonly epoch: number };
  #waiting: Map<string, Question> | undefined = undefined;

  /** Questions that wait when the epoch changes keep their ids. */
  constructor(ownership: { readonly epoch: number }) {
    this.#ownership = ownership;
  }

  get size(): number {
    return this.#waiting?.size ?? 0;
  }

  #wireId(id: RequestId): string {
    return `s${this.#ownership.epoch.toString(36)}.${String(id)}`;
  }

  /** Sends a question on a stream, and keeps it until its answer. */
  ask(question: RpcRequest, stream: Stream): void {
    const wireId = this.#wireId(question.id);
    const meta = question.params?.['_meta'];
    const out =
      isObject(meta) && meta['progressToken'] === question.id
        ? { ...question, id: wireId, params: { ...question.params, _meta: { ...meta, progressToken: wireId } } }
        : { ...question, id: wireId };
    const json = JSON.stringify(out);
    // The log keeps the questions of a logged stream.
    const unlogged = stream.logged ? undefined : { stream, json };
    (this.#waiting ??= new Map()).set(wireId, { id: question.id, unlogged });
    stream.send(json);
  }

  /** For a new sink of a stream without a log: it is unknown which questions the sink before it received. */
  askAgain(stream: Stream): void {
    for (const { unlogged } of this.#waiting?.values() ?? []) {
      if (unlogged?.stream === stream) stream.send(unlogged.json);
    }
  }

  /** Whether a question waits for this answer. */
  has({ id }: RpcResponse): boolean {
    return typeof id === 'string' && this.#waiting?.has(id) === true;
  }

  /** The answer under the server's id of the question; `undefined`: no question waits for it. */
  answer(response: RpcResponse): RpcResponse | undefined {
    const wireId = response.id;
    if (typeof wireId !== 'string') return undefined;
    const question = this.#waiting?.get(wireId);
    if (question === undefined) return undefined;
    this.#waiting?.delete(wireId);
    return { ...response, id: question.id };
  }

  /** The server's `notifications/cancelled` about its own question, as the client gets it. Forgets the question. */
  cancel(notification: RpcNotification): RpcNotification {
    const id = notification.params?.['requestId'];
    if (typeof id !== 'string' && typeof id !== 'number') return notification;
    const wireId = this.#wireId(id);
    this.#waiting?.delete(wireId);
    return { ...notification, params: { ...notification.params, requestId: wireId } };
  }

  /** The client's `notifications/progress` about a question, under the server's token. */
  progress(notification: RpcNotification): RpcNotification {
    const token = notification.params?.['progressToken'];
    const question = typeof token === 'string' ? this.#waiting?.get(token) : undefined;
    if (question === undefined) return notification;
    return { ...notification, params: { ...notification.params, progressToken: question.id } };
  }
}
