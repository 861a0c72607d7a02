/**
 * Server→client requests that wait for their answer. A server numbers them from 0 on every instance, so on the wire an id
 * carries the epoch: the answer to a question of an earlier owner finds nobody, instead of somebody else's question. The
 * SDK uses the number as progress token too; it is rewritten with it.
 */
import type { RequestId } from '@modelcontextprotocol/server';
import { isObject, type RpcNotification, type RpcRequest, type RpcResponse } from '../jsonrpc.ts';

export class Questions {
  #prefix: string;
  #waiting: Map<string, RequestId> | undefined = undefined;

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

  /** Remembers a question; returns it as it goes out. */
  ask(question: RpcRequest): RpcRequest {
    const wireId = this.#wireId(question.id);
    (this.#waiting ??= new Map()).set(wireId, question.id);
    const meta = question.params?.['_meta'];
    if (!isObject(meta) || meta['progressToken'] !== question.id) return { ...question, id: wireId };
    return { ...question, id: wireId, params: { ...question.params, _meta: { ...meta, progressToken: wireId } } };
  }

  /** The answer as the server knows it; undefined: nobody waits for it. */
  answer(response: RpcResponse): RpcResponse | undefined {
    const wireId = response.id;
    if (typeof wireId !== 'string') return undefined;
    const id = this.#waiting?.get(wireId);
    if (id === undefined) return undefined;
    this.#waiting?.delete(wireId);
    return { ...response, id };
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
    const id = typeof token === 'string' ? this.#waiting?.get(token) : undefined;
    if (id === undefined) return notification;
    return { ...notification, params: { ...notification.params, progressToken: id } };
  }
}
