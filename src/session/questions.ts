/**
 * Server→client requests that wait for their answer. A server numbers them from 0 on every instance, so on the wire an id
 * carries the epoch: the answer to a question of an earlier owner finds nobody, instead of somebody else's question. The
 * SDK uses the number as progress token too; it is rewritten with it.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { isObject, type RpcNotification, type RpcRequest, type RpcResponse } from '../protocol/jsonrpc.ts';
import type { Stream } from './stream.ts';

interface Question {
  /** The server's. */
  readonly id: RequestId;
  readonly unlogged: { readonly stream: Stream; readonly json: string } | undefined;
}

export class Questions {
  #prefix: string;
  #waiting: Map<string, Question> | undefined = undefined;

  constructor(epoch: number) {
    this.#prefix = `s${epoch.toString(36)}.`;
  }

  /** New questions carry the new epoch; those that wait keep their ids. */
  continueIn(epoch: number): void {
    this.#prefix = `s${epoch.toString(36)}.`;
  }

  get size(): number {
    return this.#waiting?.size ?? 0;
  }

  #wireId(id: RequestId): string {
    return this.#prefix + String(id);
  }

  /** Sends a question on a stream, and remembers it. */
  ask(question: RpcRequest, stream: Stream): void {
    const wireId = this.#wireId(question.id);
    const meta = question.params?.['_meta'];
    const out =
      isObject(meta) && meta['progressToken'] === question.id
        ? { ...question, id: wireId, params: { ...question.params, _meta: { ...meta, progressToken: wireId } } }
        : { ...question, id: wireId };
    const json = JSON.stringify(out);
    // What the log keeps need not be kept here.
    const unlogged = stream.logged ? undefined : { stream, json };
    (this.#waiting ??= new Map()).set(wireId, { id: question.id, unlogged });
    stream.send(json);
  }

  /** A stream without a log has a new reader, and nobody knows what the one before it was sent. */
  askAgain(stream: Stream): void {
    for (const { unlogged } of this.#waiting?.values() ?? []) {
      if (unlogged?.stream === stream) stream.send(unlogged.json);
    }
  }

  /** Whether a question waits for this answer. */
  has({ id }: RpcResponse): boolean {
    return typeof id === 'string' && this.#waiting?.has(id) === true;
  }

  /** The answer as the server knows it; undefined: nobody waits for it. */
  answer(response: RpcResponse): RpcResponse | undefined {
    const wireId = response.id;
    if (typeof wireId !== 'string') return undefined;
    const question = this.#waiting?.get(wireId);
    if (question === undefined) return undefined;
    this.#waiting?.delete(wireId);
    return { ...response, id: question.id };
  }

  /** `notifications/cancelled` of the server about its own question, as it goes out; the question is forgotten. */
  cancel(notification: RpcNotification): RpcNotification {
    const id = notification.params?.['requestId'];
    if (typeof id !== 'string' && typeof id !== 'number') return notification;
    const wireId = this.#wireId(id);
    this.#waiting?.delete(wireId);
    return { ...notification, params: { ...notification.params, requestId: wireId } };
  }

  /** `notifications/progress` of the client about a question, as the server knows it. */
  progress(notification: RpcNotification): RpcNotification {
    const token = notification.params?.['progressToken'];
    const question = typeof token === 'string' ? this.#waiting?.get(token) : undefined;
    if (question === undefined) return notification;
    return { ...notification, params: { ...notification.params, progressToken: question.id } };
  }
}
