/** A server with tools of every kind of task, and a client that asks for tasks as the extension says. */
import {
  inputRequired,
  acceptedContent,
  type ElicitResult,
  McpServer,
  ProtocolError,
  ProtocolErrorCode,
} from '@modelcontextprotocol/server';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { onTestFinished } from 'vitest';
import { z } from 'zod';
import type { McpEndpointContext } from '../../src/index.ts';
import { task } from '../../src/tasks/index.ts';
import type { JsonRpcAnswer, RawClient } from '../kit/raw-client.ts';
import { callModern, MODERN, type ModernRequest } from '../kit/modern.ts';
import { until } from '../kit/until.ts';

export const EXTENSION = 'io.modelcontextprotocol/tasks';
export const CAPABILITIES = { extensions: { [EXTENSION]: {} }, elicitation: { form: {} }, sampling: {} };

export type Fields = Readonly<Record<string, unknown>>;
export const text = (of: string) => ({ content: [{ type: 'text' as const, text: of }] });

const QUESTION = {
  message: 'Sure?',
  requestedSchema: { type: 'object' as const, properties: { ok: { type: 'boolean' as const } } },
};

/** What the handlers of one test did, by the instance that ran them. */
export class Effects {
  readonly all: string[] = [];
  readonly #waiting: Array<() => void> = [];
  note(what: string): void {
    this.all.push(what);
  }
  count(what: string): number {
    return this.all.filter((one) => one === what).length;
  }
  /** Handlers that wait go on. */
  open(): void {
    for (const go of this.#waiting.splice(0)) go();
  }
  wait(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push(resolve);
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
  }
}

export function taskServer(effects: Effects, name = 'a') {
  return ({ serverOptions }: Pick<McpEndpointContext, 'serverOptions'>): McpServer => {
    const server = new McpServer({ name: 'tasks', version: '1' }, serverOptions);
    server.registerTool('greet', { inputSchema: z.object({ name: z.string() }) }, ({ name: who }) =>
      text(`Hello, ${who}!`),
    );
    server.registerTool(
      'held',
      { inputSchema: z.object({}) },
      task(
        async (_, ctx, own) => {
          effects.note(`held ${name}`);
          await effects.wait(own.signal);
          return text(`done by ${name}, attempt ${own.attempt}`);
        },
        { resume: false },
      ),
    );
    server.registerTool(
      'resumes',
      { inputSchema: z.object({}) },
      task(
        async (_, ctx, own) => {
          const first = await own.step('first', (key) => {
            effects.note('first');
            return key;
          });
          effects.note(`resumes ${name}`);
          await effects.wait(own.signal);
          return text(`${first}, attempt ${own.attempt}`);
        },
        { resume: true },
      ),
    );
    server.registerTool(
      'fails',
      { inputSchema: z.object({}) },
      task(
        () => {
          throw new Error('no luck');
        },
        { when: 'required' },
      ),
    );
    server.registerTool(
      'refuses',
      { inputSchema: z.object({}) },
      task(() => {
        throw new ProtocolError(ProtocolErrorCode.InvalidParams, 'not like this', { why: 'so' });
      }),
    );
    server.registerTool(
      'asks',
      { inputSchema: z.object({ times: z.number().default(1) }) },
      task(({ times }, { mcpReq }) => {
        const given = mcpReq.inputResponses;
        const round = Number(mcpReq.requestState<string>() ?? '0');
        effects.note(`asks ${round}`);
        if (round < times) {
          return inputRequired({
            inputRequests: { sure: inputRequired.elicit(QUESTION) },
            requestState: String(round + 1),
          });
        }
        return text(JSON.stringify(acceptedContent(given, 'sure', z.object({ ok: z.boolean() }))));
      }),
    );
    server.registerTool(
      'elicits',
      { inputSchema: z.object({}) },
      task(
        async (_, ctx, own) => {
          const [one, two] = await Promise.all([own.elicit('one', QUESTION), own.elicit('two', QUESTION)]);
          return text(JSON.stringify([one, two]));
        },
        { resume: true },
      ),
    );
    server.registerTool(
      'slow',
      { inputSchema: z.object({ ms: z.number() }) },
      task(
        async ({ ms }) => {
          await new Promise((over) => setTimeout(over, ms));
          return text('slept');
        },
        { when: { slowerThanMs: 60 } },
      ),
    );
    server.registerTool(
      'detaches',
      { inputSchema: z.object({}) },
      task((_, ctx, own) => own.detach((id) => effects.note(id)), { when: 'required' }),
    );
    server.registerTool(
      'cannot-detach',
      { inputSchema: z.object({}) },
      task((_, ctx, own) =>
        own.detach(() => {
          throw new Error('the cluster is full');
        }),
      ),
    );
    return server;
  };
}

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
