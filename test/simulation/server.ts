/**
 * The MCP server of a world: a plain `ConnectableServer`, whose tools write into the ledger when they run. Its only
 * timers are those of its instance.
 */
import type { JSONRPCMessage, Transport } from '@modelcontextprotocol/server';
import type { ConnectableServer, McpEndpointContext, McpSession } from '../../src/base/types.ts';
import { TRESPASS } from './client.ts';
import type { Ran } from './ledger.ts';
import type { SimProcess } from './process.ts';
import type { World } from './world.ts';

interface Message {
  readonly id?: number | string;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: Record<string, unknown>;
  readonly error?: unknown;
}

interface Run {
  cancelled: boolean;
  /** Of a tool. */
  ran: Ran | undefined;
}

/** Which tools say that they may run twice. */
export const REPEATABLE: Readonly<Record<string, boolean>> = {
  effect: false,
  read: true,
  count: false,
  peek: true,
  ask: false,
  slow: true,
  slowOnce: false,
  push: false,
};

const TOOLS = Object.entries(REPEATABLE).map(([name, repeatable]) => ({
  name,
  inputSchema: { type: 'object' },
  ...(repeatable && {
    annotations: name === 'slow' ? { idempotentHint: true } : { readOnlyHint: true },
  }),
}));

export class SimServer implements ConnectableServer {
  readonly #process: SimProcess;
  readonly #world: World;
  readonly #session: McpSession | undefined;
  readonly #waiting = new Map<number, (answer: Message) => void>();
  /** By the id of its request: the last try, as the SDK has it. */
  readonly #runs = new Map<number | string, Run>();
  readonly #copy: number;
  #transport: Transport | undefined;
  #asked = 0;

  constructor(process: SimProcess, world: World, context: McpEndpointContext) {
    this.#process = process;
    this.#world = world;
    this.#session = context.session;
    this.#copy = world.ledger.copies++;
  }

  async connect(transport: Transport): Promise<void> {
    this.#transport = transport;
    transport.onmessage = (message) => this.#take(message as Message);
    await transport.start();
  }

  async close(): Promise<void> {
    await this.#transport?.close();
  }

  #take(message: Message): void {
    const { id, method } = message;
    if (JSON.stringify(message).includes(TRESPASS))
      this.#world.wrong(
        `was delivered to ${this.#session?.id}, and another user sent it: ${method}`,
      );
    if (method === undefined) {
      this.#waiting.get(Number(id))?.(message);
      this.#waiting.delete(Number(id));
    } else if (id === undefined) {
      const run = this.#runs.get(message.params?.['requestId'] as number | string);
      if (method !== 'notifications/cancelled' || run === undefined) return;
      run.cancelled = true;
      this.#ended(run);
    } else {
      void this.#serve(id, method, message.params ?? {});
    }
  }

  async #serve(
    id: number | string,
    method: string,
    params: Record<string, unknown>,
  ): Promise<void> {
    let answer: Message;
    const run: Run = { cancelled: false, ran: undefined };
    this.#runs.set(id, run);
    try {
      answer = { result: await this.#result(id, run, method, params) };
    } catch (error) {
      answer = { error: { code: -32000, message: String(error), data: { reason: 'tool_failed' } } };
    }
    this.#ended(run);
    // A session that has left takes no answer any more.
    if (this.#runs.get(id) === run) this.#runs.delete(id);
    if (!run.cancelled) await this.#send({ id, ...answer }).catch(() => {});
  }

  #ended({ ran }: Run): void {
    if (ran !== undefined) ran.endedAt ??= this.#process.scheduler.now;
  }

  async #send(message: Message, relatedRequestId?: number | string): Promise<void> {
    const options = relatedRequestId === undefined ? undefined : { relatedRequestId };
    await this.#transport?.send(
      { jsonrpc: '2.0', ...message } as unknown as JSONRPCMessage,
      options,
    );
  }

  async #result(
    id: number | string,
    run: Run,
    method: string,
    params: Record<string, unknown>,
  ): Promise<Record<string, unknown>> {
    switch (method) {
      case 'initialize':
        return {
          protocolVersion: params['protocolVersion'],
          capabilities: { tools: {}, logging: {}, resources: { subscribe: true } },
          serverInfo: { name: 'simulated', version: '1' },
        };
      case 'tools/list':
        return { tools: TOOLS };
      case 'tools/call':
        return {
          structuredContent: {
            value: await this.#call(
              id,
              run,
              String(params['name']),
              params['arguments'] as Record<string, unknown>,
            ),
          },
        };
      default:
        return {};
    }
  }

  async #call(
    id: number | string,
    run: Run,
    tool: string,
    given: Record<string, unknown>,
  ): Promise<unknown> {
    const nonce = String(given['nonce']);
    const ms = Number(given['ms'] ?? 0);
    const session = this.#session;
    if (session === undefined) throw new Error('no session');
    run.ran = {
      at: this.#process.scheduler.now,
      tool,
      session: session.id,
      nonce,
      instance: this.#process.name,
      copy: this.#copy,
      endedAt: undefined,
    };
    this.#world.ledger.ran.push(run.ran);
    this.#world.note(`${this.#process.name} runs ${tool} ${nonce}`);
    if (ms > 0 && tool !== 'slow' && tool !== 'slowOnce') await this.#pause(ms);
    switch (tool) {
      case 'count':
        return session.state.update('count', (count = 0) => count + 1);
      case 'peek':
        return (await session.state.get<number>('count')) ?? 0;
      case 'ask':
        return this.#ask(id, nonce);
      case 'push':
        // About the session and no request: the GET stream's.
        await this.#send({
          method: 'notifications/resources/updated',
          params: { uri: `sim://${nonce}` },
        });
        return nonce;
      case 'slow':
      case 'slowOnce':
        for (let n = 1; n <= 3; n++) {
          await this.#pause(ms / 3);
          const params = { progressToken: nonce, progress: n };
          await this.#send({ method: 'notifications/progress', params }, id);
        }
        return nonce;
      default:
        return nonce;
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#process.setTimeout(resolve, ms));
  }

  /** An elicitation; what it is answered with. */
  async #ask(related: number | string, nonce: string): Promise<unknown> {
    const id = this.#asked++;
    const answered = new Promise<Message>((resolve) => this.#waiting.set(id, resolve));
    const params = { message: nonce, requestedSchema: { type: 'object', properties: {} } };
    await this.#send({ id, method: 'elicitation/create', params }, related);
    const { result } = await answered;
    return (result?.['content'] as Record<string, unknown> | undefined)?.['answer'];
  }
}
