/** A walk of one client through one session, with a model of its running calls: each step knows its right answer. */
import fc from 'fast-check';
import { expect } from 'vitest';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import type { Served } from '../kit/serve.ts';
import { until } from '../kit/until.ts';

/** `limits.requestsPerSession` of the endpoint. */
export const LIMIT = 4;
/** `n` picks one of the running calls, modulo their number. */
export const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.constantFrom('hold', 'ask', 'echo', 'chatty', 'fail').map((tool) => ({ do: 'call' as const, tool })),
  },
  { weight: 3, arbitrary: fc.nat().map((n) => ({ do: 'release' as const, n })) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('again', 'cancel', 'leave', 'answer', 'resume'),
      n: fc.nat(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('ping', 'stray', 'notify', 'initialize', 'batch', 'get') }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('delete') }) },
);

export type Operation = { readonly do: string; readonly tool?: string; readonly n?: number };

interface Running {
  readonly id: string;
  readonly tool: 'hold' | 'ask';
  stream: RawResponse;
  /** No client reads it now. */
  left: boolean;
}

const messagesOf = (response: RawResponse): Array<Record<string, unknown>> =>
  response.events.flatMap(({ message }) => (message === undefined ? [] : [message as Record<string, unknown>]));

export class Walk {
  readonly client: RawClient;
  readonly #endpoint: Served['endpoint'];
  readonly #waiting: Map<string, () => void>;
  readonly #version: string;
  readonly #running: Running[] = [];
  #get: RawResponse | undefined;
  #alive = true;
  #ids = 0;

  constructor(client: RawClient, endpoint: Served['endpoint'], waiting: Map<string, () => void>, version: string) {
    this.client = client;
    this.#endpoint = endpoint;
    this.#waiting = waiting;
    this.#version = version;
  }

  get #logged(): boolean {
    return this.#version === '2025-11-25';
  }

  #nextId(): string {
    return `${this.client.sessionId}-${++this.#ids}`;
  }

  #pick(n = 0): Running | undefined {
    return this.#running[n % Math.max(1, this.#running.length)];
  }

  #call(id: string, name: string): Promise<RawResponse> {
    return this.client.post({ jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: { id } } });
  }

  async step({ do: what, tool = '', n }: Operation): Promise<void> {
    switch (what) {
      case 'call':
        return this.#start(tool);
      case 'release':
        return this.#release(this.#pick(n));
      case 'again':
        return this.#again(this.#pick(n));
      case 'cancel':
        return this.#cancel(this.#pick(n));
      case 'leave':
        return this.#leave(this.#pick(n));
      case 'resume':
        return this.#resume(this.#pick(n));
      case 'answer':
      case 'stray':
        // Shaped like the id of a server request, and never equal to one: that would answer it.
        return this.#silent({ jsonrpc: '2.0', id: `s1.x${n ?? ''}`, result: {} });
      case 'notify':
        return this.#silent({ jsonrpc: '2.0', method: 'notifications/roots/list_changed' });
      case 'ping':
        return this.#ping();
      case 'initialize':
        return this.#initialize();
      case 'batch':
        return this.#batch();
      case 'get':
        return this.#open();
      default:
        return this.delete();
    }
  }

  async #start(tool: string): Promise<void> {
    const id = this.#nextId();
    const stream = await this.#call(id, tool);
    if (!this.#alive) return expect(stream.status).toBe(404);
    expect(stream.status).toBe(200);
    if (this.#running.length >= LIMIT)
      return expect(stream.json()).toMatchObject({ id, error: { data: { reason: 'too_many_requests' } } });
    if (tool === 'hold' || tool === 'ask') {
      this.#running.push({ id, tool, stream, left: false });
      if (tool === 'hold') await until(() => this.#waiting.has(id));
      else await stream.nextMessage();
      return;
    }
    await stream.untilEnd();
    expect(stream.ending).toBe('complete');
    expect(messagesOf(stream).filter(({ method }) => method === undefined)).toMatchObject([{ id }]);
  }

  /** Lets a call answer. Its reader gets the answer, or the next reader. */
  async #release(running: Running | undefined): Promise<void> {
    if (running === undefined) return;
    this.#running.splice(this.#running.indexOf(running), 1);
    if (running.tool === 'hold') this.#waiting.get(running.id)?.();
    else await this.#answerQuestion(running);
    // The handler's work in this turn is done when another request has been served.
    await this.client.call('ping');
    if (running.left && !this.#logged) return;
    const reader = running.left ? await this.#comeBack(running) : running.stream;
    await reader.untilEnd();
    expect(reader.ending).toBe('complete');
    expect(messagesOf(reader).at(-1)).toMatchObject({ id: running.id, result: { content: [{ type: 'text' }] } });
  }

  async #answerQuestion({ stream }: Running): Promise<void> {
    const question = messagesOf(stream).find(({ method }) => method === 'elicitation/create');
    const answer = { jsonrpc: '2.0', id: question?.['id'], result: { action: 'decline' } };
    expect((await this.client.post(answer)).status).toBe(202);
  }

  #comeBack({ stream }: Running): Promise<RawResponse> {
    const { id } = stream.events.findLast((event) => event.id !== undefined) ?? {};
    return this.client.get({ lastEventId: id });
  }

  async #again(running: Running | undefined): Promise<void> {
    if (running === undefined) return;
    const response = await this.#call(running.id, 'echo');
    expect([response.status, response.header('sojourn-refused')]).toEqual([200, 'request_id_in_flight']);
    expect(response.json()).toMatchObject({ id: running.id, error: { code: -32600 } });
  }

  async #cancel(running: Running | undefined): Promise<void> {
    if (running === undefined) return;
    this.#running.splice(this.#running.indexOf(running), 1);
    expect((await this.client.notify('notifications/cancelled', { requestId: running.id })).status).toBe(202);
    this.#waiting.get(running.id)?.();
    if (running.left) return;
    await running.stream.untilEnd();
    expect(running.stream.ending).toBe('complete');
    expect(messagesOf(running.stream).filter(({ id }) => id === running.id)).toEqual([]);
  }

  /** Cuts the connection; the call continues. */
  async #leave(running: Running | undefined): Promise<void> {
    if (running === undefined || running.left) return;
    if (this.#logged) await until(() => running.stream.events.some(({ id }) => id !== undefined));
    running.stream.abort();
    running.left = true;
  }

  async #resume(running: Running | undefined): Promise<void> {
    if (running === undefined || !running.left || !this.#logged) return;
    const before = messagesOf(running.stream);
    const resumed = await this.#comeBack(running);
    expect(resumed.status).toBe(200);
    await resumed.next();
    const questions = before.filter(({ method }) => method === 'elicitation/create');
    running.left = false;
    // A server request that was sent before can still be answered.
    running.stream = Object.assign(resumed, { events: [...running.stream.events, ...resumed.events] });
    expect(questions.length).toBe(running.tool === 'ask' ? 1 : 0);
  }

  async #silent(message: object): Promise<void> {
    expect((await this.client.post(message)).status).toBe(this.#alive ? 202 : 404);
  }

  async #ping(): Promise<void> {
    const { response, message } = await this.client.call('ping');
    expect(response.status).toBe(this.#alive ? 200 : 404);
    if (this.#alive) expect(message.result).toEqual({});
  }

  async #initialize(): Promise<void> {
    const params = { protocolVersion: this.#version, capabilities: {}, clientInfo: { name: 'x', version: '1' } };
    const { response, message } = await this.client.call('initialize', params);
    expect(response.status).toBe(this.#alive ? 200 : 404);
    if (this.#alive) expect(message.error).toMatchObject({ code: -32600 });
  }

  async #batch(): Promise<void> {
    const ids = [this.#nextId(), this.#nextId()];
    const response = await this.client.post(ids.map((id) => ({ jsonrpc: '2.0', id, method: 'ping' })));
    if (!this.#alive) return expect(response.status).toBe(404);
    if (this.#version !== '2025-03-26') return expect(response.status).toBe(400);
    await response.untilEnd();
    expect(
      messagesOf(response)
        .map(({ id }) => id)
        .sort(),
    ).toEqual(ids.sort());
  }

  async #open(): Promise<void> {
    const response = await this.client.get();
    expect(response.status).toBe(this.#alive ? 200 : 404);
    if (!this.#alive) return;
    // The older one stays open, with comments, until this one ends.
    expect(this.#get?.ending).toBe(undefined);
    this.#get = response;
  }

  /** Every running call is aborted, and every stream ends. */
  async delete(): Promise<void> {
    expect((await this.client.delete()).status).toBe(this.#alive ? 200 : 404);
    if (!this.#alive) return;
    this.#alive = false;
    for (const { id, stream, left } of this.#running.splice(0)) {
      this.#waiting.get(id)?.();
      if (left) continue;
      await stream.untilEnd();
      expect(stream.ending).toBe('complete');
      expect(messagesOf(stream).at(-1)).toMatchObject({
        id,
        error: { code: -32000, data: { reason: 'session_ended' } },
      });
    }
    await this.#get?.untilEnd();
    expect(this.#get?.ending ?? 'complete').toBe('complete');
    expect(this.#endpoint.sessions.count).toBe(0);
  }
}
