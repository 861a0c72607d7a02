/**
 * `@modelcontextprotocol/ext-tasks`: an independent client of the extension. It runs on the official client, which
 * cannot read tasks. So its requests go through the transport of that client. Each exchange is kept.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Client, StreamableHTTPClientTransport, type Transport } from '@modelcontextprotocol/client';
import { onTestFinished } from 'vitest';
import { installed } from '../../tools/installed.ts';
import { MODERN } from '../kit/modern.ts';
import type { Fields } from './kit.ts';

/** The same for the client sessions of every instance, so that each may continue the tasks of the others. */
const ENDPOINT = 'sojourn';
const INFO = { name: 'ext-tasks', version: '0.2.2' };
const CAPABILITIES = { elicitation: { form: {} }, sampling: {} };

interface View {
  readonly taskId: string;
  readonly status: string;
  readonly statusMessage?: string;
  readonly raw: Fields;
}

interface Outcome {
  readonly status: 'completed' | 'failed' | 'cancelled';
  readonly result?: Fields;
  readonly error?: Error & { readonly code?: number; readonly data?: unknown };
}

interface Execution {
  readonly kind: 'immediate' | 'task';
  readonly handle?: { readonly taskId: string };
  settle(): Promise<{ readonly outcome: Outcome; readonly lastTask: View | undefined }>;
  cancel(): Promise<void>;
}

interface Session {
  callTool(name: string, args: Fields, options?: { task?: { preference: 'require' } }): Promise<Execution>;
  task(id: string): {
    snapshot(): Promise<View>;
    update(inputResponses: Fields): Promise<void>;
    cancel(): Promise<void>;
  };
  close(): Promise<void>;
}

interface Asked {
  readonly kind: string;
  readonly params: Fields;
}
export type Answers = (asked: Asked, context: { readonly inputId?: string }) => Promise<Fields>;

interface Request {
  readonly method: string;
  readonly params: Fields;
}
type Answer = { readonly kind: 'result'; readonly result: Fields } | { readonly kind: 'error'; readonly error: Fields };
interface Dispatching {
  readonly signal?: AbortSignal;
  readonly context?: { readonly headers?: Readonly<Record<string, string>> };
}

interface ClientModule {
  createTaskSessionFromClient(client: Client, options: object): Session;
}

interface Schema {
  parse(value: unknown): unknown;
}
type SchemaName = 'CreateTaskResult' | 'GetTaskResult' | 'UpdateTaskResult' | 'CancelTaskResult';
type SchemaModule = Readonly<Record<`${SchemaName}V2Schema`, Schema>> & {
  hasTaskServerCapabilityV2(capabilities: unknown): boolean;
  hasTaskClientCapabilityV2(params: unknown): boolean;
};

async function load(file: string): Promise<unknown> {
  const path = join(installed('ext-tasks'), 'node_modules/@modelcontextprotocol/ext-tasks/dist', file);
  return import(pathToFileURL(path).href);
}

export const schemas = async () => (await load('core/v2/index.js')) as SchemaModule;

interface Exchange {
  readonly request: Request;
  readonly answer: Answer;
}

export interface TaskSession {
  readonly client: Client;
  readonly session: Session;
  readonly exchanges: readonly Exchange[];
}

export async function openTaskSession(url: string, onInputRequest?: Answers): Promise<TaskSession> {
  const { createTaskSessionFromClient } = (await load('client/index.js')) as ClientModule;
  const client = new Client(INFO, { capabilities: CAPABILITIES, versionNegotiation: { mode: { pin: MODERN } } });
  const transport = new StreamableHTTPClientTransport(new URL(url));
  await client.connect(transport);
  const exchanges: Exchange[] = [];
  const dispatch = dispatcher(transport);
  const session = createTaskSessionFromClient(client, {
    endpointId: ENDPOINT,
    v2RequestFraming: { protocolVersion: MODERN, clientInfo: INFO, clientCapabilities: CAPABILITIES },
    rawDispatch: async (request: Request, options?: Dispatching) => {
      const answer = await dispatch(request, options);
      exchanges.push({ request, answer });
      return answer;
    },
    ...(onInputRequest !== undefined && { onInputRequest }),
  });
  onTestFinished(async () => {
    await session.close();
    await client.close();
  });
  return { client, session, exchanges };
}

/** Sends requests through the transport of a connected client, and takes their answers before the client sees them. */
function dispatcher(transport: Transport): (request: Request, options?: Dispatching) => Promise<Answer> {
  const waiting = new Map<unknown, (answer: Answer) => void>();
  const { onmessage } = transport;
  transport.onmessage = (message, extra) => {
    const settle = 'id' in message && !('method' in message) ? waiting.get(message.id) : undefined;
    if (settle === undefined) onmessage?.(message, extra);
    else if ('error' in message) settle({ kind: 'error', error: { ...message.error } });
    else settle({ kind: 'result', result: (message as { result: Fields }).result });
  };
  let sent = 0;
  return (request, { signal, context } = {}) =>
    new Promise((resolve, reject) => {
      const id = `task-${(sent += 1)}`;
      const over = (): void => {
        waiting.delete(id);
        signal?.removeEventListener('abort', abort);
      };
      const abort = (): void => {
        over();
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', abort, { once: true });
      waiting.set(id, (answer) => {
        over();
        resolve(answer);
      });
      transport
        .send(
          { jsonrpc: '2.0', id, method: request.method, params: request.params },
          { requestSignal: signal, headers: context?.headers },
        )
        .catch((error: unknown) => {
          over();
          reject(error);
        });
    });
}
