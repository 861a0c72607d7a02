/** A client that starts tasks, asks for them at any instance, answers their questions and cancels some. */
import type { ClientCapabilities } from '@modelcontextprotocol/server';
import { envelope, mirrored } from '../kit/modern.ts';
import { CAPABILITIES } from '../durable/tasks/kit.ts';
import type { Random } from './random.ts';
import { authOf } from './requester.ts';
import type { Ended, TaskLedger } from './task-ledger.ts';
import type { Plan, Tool } from './task-tools.ts';
import type { World } from './world.ts';

type Fields = Readonly<Record<string, unknown>>;

/** `error`: of JSON-RPC. `undefined` for both: no answer came. */
export interface Answer {
  readonly result?: Fields;
  readonly error?: { readonly code: number; readonly data?: { readonly reason?: string } };
}

/** How long clients wait for an answer, where they do not wait for a task. */
const PATIENCE_MS = [400, 20_000];
const RETRY_MS = 100;
const UNKNOWN = -32602;

export class TaskClient {
  readonly #ledger: TaskLedger;
  readonly #world: World;
  readonly #random: Random;
  readonly #name: string;
  #requests = 0;

  constructor(ledger: TaskLedger, random: Random, name: string) {
    this.#ledger = ledger;
    this.#world = ledger.world;
    this.#random = random;
    this.#name = name;
  }

  /** One request to one instance. */
  async post(
    method: string,
    params: Fields,
    slot = this.#random.int(this.#world.slots.length),
    capabilities: ClientCapabilities = CAPABILITIES,
  ): Promise<Answer> {
    const id = ++this.#requests;
    const body = JSON.stringify({
      jsonrpc: '2.0',
      id,
      method,
      params: { ...params, _meta: envelope(capabilities) },
    });
    const accept = 'application/json, text/event-stream';
    const headers = { 'content-type': 'application/json', accept, ...mirrored(method, params) };
    let streamed = '';
    const response = this.#world.http(
      slot,
      { method: 'POST', headers, body, authInfo: authOf('u') },
      ({ data }) => {
        if (data.includes(`"id":${id}`)) streamed = data;
      },
    );
    const late = this.#world.scheduler.after(this.#random.pick(PATIENCE_MS), () =>
      response.close(),
    );
    const outcome = await response.ended;
    this.#world.scheduler.cancel(late);
    const text = response.streams ? streamed : response.body;
    if (outcome === 'refused' || response.status === 503 || text === '') return {};
    return JSON.parse(text) as Answer;
  }

  /** Until an instance answers. */
  async ask(method: string, params: Fields, slot?: number): Promise<Answer> {
    for (let at = slot; ; at = undefined) {
      const answer = await this.post(method, params, at);
      if (answer.result !== undefined || answer.error?.code === UNKNOWN) return answer;
      if (this.#world.now > this.#ledger.latest) return answer;
      await this.#world.scheduler.sleep(RETRY_MS * (0.5 + this.#random.next()));
    }
  }

  /** The id of a new task; `undefined`: it was refused, was answered at once, or its answer was lost. */
  async start(name: Tool, plan: Plan): Promise<string | undefined> {
    const slot = this.#random.int(this.#world.slots.length);
    const process = this.#world.slots[slot]?.process;
    const { result, error } = await this.post('tools/call', { name, arguments: { ...plan } }, slot);
    if (process !== undefined && error?.data?.reason === 'store_unavailable')
      this.#ledger.refused(plan.key, process);
    return result?.['resultType'] === 'task' ? String(result['taskId']) : undefined;
  }

  /** A call of a client without tasks. It waits for the task of its key. */
  async call(name: Tool, plan: Plan): Promise<void> {
    await this.post('tools/call', { name, arguments: { ...plan } }, undefined, {
      elicitation: { form: {} },
    });
  }

  /** Updates the state of its user, or reads it. `undefined`: no number came. */
  async count(name: 'count' | 'counted'): Promise<number | undefined> {
    const { result } = await this.post('tools/call', { name, arguments: {} });
    if (result === undefined || result['isError'] === true) return undefined;
    const [{ text }] = result['content'] as [{ text: string }];
    return Number(text);
  }

  /** What the call of `once()` with this key ended with; `undefined`: no answer came. */
  async once(
    key: string,
    slot = this.#random.int(this.#world.slots.length),
  ): Promise<string | undefined> {
    const { once } = this.#ledger;
    once.keys.add(key);
    const process = this.#world.slots[slot]?.process;
    const call = { name: key.split(' ', 1)[0], arguments: { key } };
    const { result, error } = await this.post('tools/call', call, slot);
    if (result === undefined) return error && (error.data?.reason ?? String(error.code));
    const [{ text }] = result['content'] as [{ text: string }];
    if (result['isError'] === true) return text;
    // Another process that took the slot in that time may have answered.
    if (process !== undefined && process === this.#world.slots[slot]?.process)
      once.answered(key, process, Number(text));
    return `run ${text}`;
  }

  /** The same, asked again for so long. */
  async onceWithin(ms: number, key: string, slot: number): Promise<string | undefined> {
    let outcome: string | undefined;
    for (const latest = this.#world.now + ms; outcome === undefined && this.#world.now < latest;)
      outcome = await this.once(key, slot);
    return outcome;
  }

  /** `undefined`: no answer came. */
  async get(taskId: string, slot?: number): Promise<(Ended & Fields) | undefined> {
    const askedAt = this.#world.now;
    const { result, error } = await this.ask('tasks/get', { taskId }, slot);
    if (error?.code === UNKNOWN) this.#ledger.unknown(taskId);
    if (result === undefined) return undefined;
    const task = result as unknown as Ended & Fields;
    this.#ledger.reads(taskId, askedAt - this.#world.now + this.#world.now, task);
    return task;
  }

  /** Answers these questions, each with another text. */
  async answer(taskId: string, keys: readonly string[], slot?: number): Promise<void> {
    const said = `${this.#name}.${this.#requests}`;
    const answers = keys.map((key) => [key, { action: 'accept', content: { said } }]);
    const { result } = await this.ask(
      'tasks/update',
      { taskId, inputResponses: Object.fromEntries(answers) },
      slot,
    );
    if (result !== undefined) this.#ledger.acknowledged(taskId, keys);
  }

  /** 0: at one instance; 1: each at another one; 2: twice. */
  async answerAll(taskId: string, keys: readonly string[], way: number): Promise<void> {
    const { slots } = this.#world;
    const first = this.#random.int(slots.length);
    const at = (n: number): number => (first + n) % slots.length;
    switch (way) {
      case 0:
        return this.answer(taskId, keys, first);
      case 1:
        return void (await Promise.all(keys.map((key, n) => this.answer(taskId, [key], at(n)))));
      default:
        return void (await Promise.all([
          this.answer(taskId, keys, at(0)),
          this.answer(taskId, keys, at(1)),
        ]));
    }
  }

  async cancel(taskId: string): Promise<void> {
    const { result } = await this.ask('tasks/cancel', { taskId });
    if (result !== undefined) this.#ledger.cancelled(taskId);
  }
}
