/** The official clients of both lines as a person uses them: their defaults, and answers to what servers ask. */
import {
  Client as ClientV2,
  ProtocolError,
  StreamableHTTPClientTransport as HttpV2,
} from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport, type StdioServerParameters } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  McpError,
  ResourceUpdatedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';

export type Era = '2025' | '2026-07-28';

/** `v2 auto` asks which era the server has. `v2 pinned` refuses another one than 2026-07-28. */
export const CLIENTS = {
  v1: '2025',
  'v2 legacy': '2025',
  'v2 auto': '2026-07-28',
  'v2 pinned': '2026-07-28',
} as const satisfies Record<string, Era>;
export type ClientName = keyof typeof CLIENTS;

export interface Call {
  readonly name: string;
  readonly args?: Record<string, unknown>;
}

export interface AdoptingClient {
  /** The names of the tools, sorted. */
  tools(): Promise<string[]>;
  /** The answer as JSON: what a person gets of a result, or the JSON-RPC error with which the server answers. */
  call(call: Call): Promise<string>;
  subscribe(uri: string): Promise<unknown>;
  /** The methods that the server has asked this client, and the notifications of updates. */
  readonly asked: string[];
  /** Whether the client has a session. */
  era(): Era;
  close(): Promise<void>;
}

const identity = { name: 'adopting-client', version: '1.0.0' };
const capabilities = { roots: { listChanged: true }, sampling: {}, elicitation: { form: {} } };

/** No call waits longer: a failure is a result. */
const timeout = 30_000;

export async function connect(kind: ClientName, url: string, rootFolder: string): Promise<AdoptingClient> {
  const asked: string[] = [];
  const answer = (method: string): never => {
    asked.push(method);
    const answers: Record<string, object> = {
      'roots/list': { roots: [{ uri: `file://${rootFolder}`, name: 'root' }] },
      'sampling/createMessage': { model: 'm', role: 'assistant', content: { type: 'text', text: 'sampled' } },
      'elicitation/create': { action: 'accept', content: { name: 'elicited' } },
    };
    return answers[method] as never;
  };
  if (kind === 'v1') {
    const client = new ClientV1(identity, { capabilities });
    client.setRequestHandler(ListRootsRequestSchema, () => answer('roots/list'));
    client.setRequestHandler(CreateMessageRequestSchema, () => answer('sampling/createMessage'));
    client.setRequestHandler(ElicitRequestSchema, () => answer('elicitation/create'));
    client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ method }) => void asked.push(method));
    await client.connect(new HttpV1(new URL(url)), { timeout });
    return {
      tools: async () => (await client.listTools({}, { timeout })).tools.map(({ name }) => name).toSorted(),
      call: ({ name, args = {} }) => answerOf(client.callTool({ name, arguments: args }, undefined, { timeout })),
      subscribe: (uri) => client.subscribeResource({ uri }, { timeout }),
      asked,
      era: () => '2025',
      close: () => client.close(),
    };
  }
  const mode = kind === 'v2 legacy' ? 'legacy' : kind === 'v2 auto' ? 'auto' : { pin: '2026-07-28' };
  const client = new ClientV2(identity, { capabilities, versionNegotiation: { mode } as never });
  client.setRequestHandler('roots/list', () => answer('roots/list'));
  client.setRequestHandler('sampling/createMessage', () => answer('sampling/createMessage'));
  client.setRequestHandler('elicitation/create', () => answer('elicitation/create'));
  client.setNotificationHandler('notifications/resources/updated', ({ method }) => void asked.push(method));
  await client.connect(new HttpV2(new URL(url)), { timeout });
  return {
    tools: async () => (await client.listTools({}, { timeout })).tools.map(({ name }) => name).toSorted(),
    call: ({ name, args = {} }) => answerOf(client.callTool({ name, arguments: args }, { timeout })),
    subscribe: (uri) => client.subscribeResource({ uri }, { timeout }),
    asked,
    era: () => (client.getNegotiatedProtocolVersion() === '2026-07-28' ? '2026-07-28' : '2025'),
    close: () => client.close(),
  };
}

interface Result {
  readonly content?: unknown;
  readonly structuredContent?: unknown;
  readonly isError?: unknown;
}

/** Errors that this client makes itself: a closed connection, and a call without an answer. */
const OWN_CODES = [-32000, -32001];

async function answerOf(calling: Promise<unknown>): Promise<string> {
  try {
    const { content, structuredContent, isError = false } = (await calling) as Result;
    return JSON.stringify({ isError, content, structuredContent });
  } catch (error) {
    if (!(error instanceof McpError || error instanceof ProtocolError) || OWN_CODES.includes(error.code)) throw error;
    // The first line of the SDK writes the code before the message, once in the server and once in the client.
    const message = error.message.replace(/^(?:MCP error -?\d+: )+/, '');
    return JSON.stringify({ error: { code: error.code, message } });
  }
}

/** What a published server answers to one call on stdio, its own transport. Rejects with what it printed last. */
export async function answerOnStdio(server: StdioServerParameters, call: Call): Promise<string> {
  const client = new ClientV1(identity, { capabilities });
  client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: [] }));
  const transport = new StdioClientTransport({ ...server, stderr: 'pipe' });
  let printed = '';
  transport.stderr?.on('data', (chunk: Buffer) => (printed = `${printed}${String(chunk)}`.slice(-4000)));
  try {
    await client.connect(transport, { timeout });
    const { tools } = await client.listTools({}, { timeout });
    if (!tools.some(({ name }) => name === call.name)) throw new Error(`there is no tool ${call.name}`);
    return await answerOf(client.callTool({ name: call.name, arguments: call.args ?? {} }, undefined, { timeout }));
  } catch (cause) {
    throw new Error(`on stdio: ${String(cause)}: ${errorIn(printed)}`, { cause });
  } finally {
    await client.close();
  }
}

/** The first line that is an error, or the last line: stacks follow their error. */
export function errorIn(printed: string): string {
  const lines = printed
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  return (lines.find((line) => /^sojourn: |error\b/i.test(line)) ?? lines.at(-1) ?? 'it printed nothing').slice(0, 300);
}
