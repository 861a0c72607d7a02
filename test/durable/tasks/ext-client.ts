/**
 * `@modelcontextprotocol/ext-tasks`: an independent client of the extension. It runs on the official client, which
 * cannot read tasks. So a raw client sends its requests as they are. Each exchange is kept.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { onTestFinished } from 'vitest';
import { installed } from '../../installs/installed.ts';
import { openClient } from '../../kit/listening.ts';
import { MODERN, mirrored } from '../../kit/modern.ts';
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
  callTool(
    name: string,
    args: Fields,
    options?: { task?: { preference: 'require' } },
  ): Promise<Execution>;
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
type Answer =
  | { readonly kind: 'result'; readonly result: Fields }
  | { readonly kind: 'error'; readonly error: Fields };
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
  const path = join(
    installed('ext-tasks'),
    'node_modules/@modelcontextprotocol/ext-tasks/dist',
    file,
  );
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
  const client = new Client(INFO, {
    capabilities: CAPABILITIES,
    versionNegotiation: { mode: { pin: MODERN } },
  });
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  const exchanges: Exchange[] = [];
  const raw = openClient(url);
  const session = createTaskSessionFromClient(client, {
    endpointId: ENDPOINT,
    v2RequestFraming: {
      protocolVersion: MODERN,
      clientInfo: INFO,
      clientCapabilities: CAPABILITIES,
    },
    rawDispatch: async (request: Request, { signal, context }: Dispatching = {}) => {
      const { method, params } = request;
      const headers = { ...mirrored(method, params), ...context?.headers };
      const { result, error } = (await raw.call(method, params, { headers, signal })).message;
      const answer = error === undefined ? { kind: 'result', result } : { kind: 'error', error };
      exchanges.push({ request, answer } as Exchange);
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
