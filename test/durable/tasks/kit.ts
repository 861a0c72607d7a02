/** A server with tools of every kind of task, and a client that asks for tasks as the extension says. */
import {
  acceptedContent,
  type ElicitResult,
  inputRequired,
  ProtocolError,
  ProtocolErrorCode,
  type ServerContext,
} from '@modelcontextprotocol/server';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { onTestFinished } from 'vitest';
import { z } from 'zod';
import type { McpEndpointOptions } from '../../../src/index.ts';
import { type RunningTask, task, type TaskOptions } from '../../../src/durable/tasks/index.ts';
import type { JsonRpcAnswer, RawClient } from '../../kit/raw-client.ts';
import { callModern, MODERN, type ModernRequest } from '../../kit/modern.ts';
import { serve } from '../../kit/serve.ts';
import { type Tool, toolServer } from '../../kit/tool-server.ts';
import { until } from '../../kit/until.ts';
import { gate } from '../../kit/watched-store.ts';

export const EXTENSION = 'io.modelcontextprotocol/tasks';
export const CAPABILITIES = {
  extensions: { [EXTENSION]: {} },
  elicitation: { form: {} },
  sampling: {},
};

export type Fields = Readonly<Record<string, unknown>>;
export const text = (of: string) => ({ content: [{ type: 'text' as const, text: of }] });

export const QUESTION = {
  message: 'Sure?',
  requestedSchema: { type: 'object' as const, properties: { ok: { type: 'boolean' as const } } },
};

/** What the handlers of one test did, by the instance that ran them. */
export class Effects {
  readonly all: string[] = [];
  readonly #opens = gate();
  /** Handlers that wait go on, and none waits any more. */
  readonly open = this.#opens.open;
  note(what: string): void {
    this.all.push(what);
  }
  count(what: string): number {
    return this.all.filter((one) => one === what).length;
  }
  async wait(signal?: AbortSignal): Promise<void> {
    const aborted = new Promise<never>((_, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    await Promise.race([this.#opens.hook(), aborted]);
  }
}

/** A tool whose calls become tasks. A value that is no result is answered as a text. */
export const taskTool = <Args extends object>(
  handler: (args: Args, ctx: ServerContext, own: RunningTask) => unknown,
  options: TaskOptions<[Args, ServerContext]> = {},
): Tool =>
  task(async (args: Args, ctx: ServerContext, own: RunningTask) => {
    const value = await handler(args, ctx, own);
    return typeof value === 'object' && value !== null ? value : text(String(value));
  }, options) as Tool;

/** The result of a handler that asks its client. */
export const askSure = (requestState?: string) =>
  inputRequired({
    inputRequests: { sure: inputRequired.elicit(QUESTION) },
    ...(requestState && { requestState }),
  });

export const taskServer = (effects: Effects, name = 'a') =>
  toolServer({
    greet: ({ name: who }) => text(`Hello, ${String(who)}!`),
    held: taskTool(
      async (_, ctx, own) => {
        effects.note(`held ${name}`);
        await effects.wait(own.signal);
        return `done by ${name}, attempt ${own.attempt}`;
      },
      { afterCrash: 'fail' },
    ),
    resumes: taskTool(
      async (_, ctx, own) => {
        const first = await own.step('first', (key) => {
          effects.note('first');
          return key;
        });
        effects.note(`resumes ${name}`);
        await effects.wait(own.signal);
        return `${first}, attempt ${own.attempt}`;
      },
      { afterCrash: 'run' },
    ),
    fails: taskTool(
      () => {
        throw new Error('no luck');
      },
      { when: 'required' },
    ),
    refuses: taskTool(() => {
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, 'not like this', { why: 'so' });
    }),
    asks: taskTool(({ times = 1 }: { times?: number }, { mcpReq }) => {
      const round = Number(mcpReq.requestState<string>() ?? '0');
      effects.note(`asks ${round}`);
      if (round < times) return askSure(String(round + 1));
      return JSON.stringify(
        acceptedContent(mcpReq.inputResponses, 'sure', z.object({ ok: z.boolean() })),
      );
    }),
    elicits: taskTool(
      async (_, ctx, own) =>
        JSON.stringify(await Promise.all(['one', 'two'].map((key) => own.elicit(key, QUESTION)))),
      { afterCrash: 'run' },
    ),
    slow: taskTool(
      async ({ ms }: { ms: number }) => {
        await new Promise((over) => setTimeout(over, ms));
        return 'slept';
      },
      { when: { slowerThanMs: 60 } },
    ),
    detaches: taskTool((_, ctx, own) => own.detach((id) => effects.note(id)), {
      when: 'required',
      ttlMs: 600_000,
    }),
    'cannot-detach': taskTool((_, ctx, own) =>
      own.detach(() => {
        throw new Error('the cluster is full');
      }),
    ),
  });

export const resultOf = ({ result }: JsonRpcAnswer): Fields => (result ?? {}) as Fields;

/** A client that declares the extension in each request. */
export class TaskClient {
  readonly raw: RawClient;
  readonly #options: ModernRequest;

  constructor(raw: RawClient, options: ModernRequest = {}) {
    this.raw = raw;
    this.#options = { capabilities: CAPABILITIES, ...options };
  }

  async ask(method: string, params: Fields, more: ModernRequest = {}): Promise<JsonRpcAnswer> {
    const { message } = await callModern(this.raw, method, params, { ...this.#options, ...more });
    return message;
  }

  call(name: string, args: Fields = {}): Promise<JsonRpcAnswer> {
    return this.ask('tools/call', { name, arguments: args });
  }

  /** Calls a tool whose call becomes a task. */
  async start(name: string, args: Fields = {}): Promise<string> {
    const answer = await this.call(name, args);
    const result = resultOf(answer);
    if (result['resultType'] !== 'task') throw new Error(`no task: ${JSON.stringify(answer)}`);
    return String(result['taskId']);
  }

  async get(taskId: string): Promise<Fields> {
    const { result, error } = await this.ask('tasks/get', { taskId });
    if (error !== undefined) throw Object.assign(new Error(error.message), error);
    return result as Fields;
  }

  update(taskId: string, inputResponses: Fields): Promise<JsonRpcAnswer> {
    return this.ask('tasks/update', { taskId, inputResponses });
  }

  cancel(taskId: string): Promise<JsonRpcAnswer> {
    return this.ask('tasks/cancel', { taskId });
  }

  /** The task, once it has this status. */
  async until(taskId: string, ...statuses: string[]): Promise<Fields> {
    let found: Fields = {};
    await until(async () => statuses.includes(String((found = await this.get(taskId))['status'])), {
      timeoutMs: 20_000,
    });
    return found;
  }

  ended(taskId: string): Promise<Fields> {
    return this.until(taskId, 'completed', 'failed', 'cancelled');
  }
}

export type Handler = (own: RunningTask, ctx: ServerContext) => unknown;

/** An endpoint with the tool `run`, and a client of it. */
export async function openRun(
  handler: Handler,
  options: TaskOptions = {},
  endpoint: McpEndpointOptions = {},
) {
  const served = await serve(runServer(handler, options), { tasks: true, ...endpoint });
  return { ...served, client: new TaskClient(served.client()) };
}

export const runServer = (handler: Handler, options: TaskOptions = {}) =>
  toolServer({
    run: taskTool(
      (_, ctx, own) => handler(own, ctx),
      options as TaskOptions<[object, ServerContext]>,
    ),
  });

/** Handlers that wait for the test, and settle when it is over. */
export function held(): Effects {
  const effects = new Effects();
  onTestFinished(() => effects.open());
  return effects;
}

/** The official client of SDK version 2, which does not know tasks. It answers every question with `answer`. */
export async function officialClient(
  url: string,
  version: '2025-11-25' | '2026-07-28',
  answer: ElicitResult = { action: 'accept', content: { ok: true } },
): Promise<Client> {
  const pinned = version === MODERN ? { versionNegotiation: { mode: { pin: MODERN } } } : {};
  const client = new Client(
    { name: 'client', version: '1' },
    { capabilities: { elicitation: { form: {} } }, ...pinned },
  );
  client.setRequestHandler('elicitation/create', () => answer);
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  onTestFinished(() => client.close());
  return client;
}
