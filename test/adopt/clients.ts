/** The official clients of both lines as a person uses them: their defaults, and answers to what servers ask. */
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import {
  StdioClientTransport,
  type StdioServerParameters,
} from '@modelcontextprotocol/sdk/client/stdio.js';
import { ListRootsRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import type {
  ConnectOptions,
  FirstLine,
  OfficialClient,
  SecondLine,
} from '../kit/official-client.ts';
import type { Message } from '../kit/sse-parser.ts';
import { openV1, openV2 } from '../kit/official-client.ts';

export type Era = '2025' | '2026-07-28';

export interface Call {
  readonly name: string;
  readonly args?: Record<string, unknown>;
}

export interface AdoptingClient {
  readonly era: Era;
  /** Whether it can be asked for input. The oldest copies cannot. */
  readonly elicits: boolean;
  /** The names of the tools, sorted. */
  tools(): Promise<string[]>;
  /** The answer as JSON: what a person gets of a result, or the JSON-RPC error with which the server answers. */
  call(call: Call, more?: { onprogress(): void }): Promise<string>;
  subscribe(uri: string): Promise<unknown>;
  /** What the server has sent. */
  readonly messages: Message[];
  close(): Promise<void>;
}

export interface ClientKind {
  readonly name: string;
  /** The era in which the client reaches a server of the second line; `pinned` to it, it reaches no other one. */
  readonly wants: Era | 'pinned';
  /** `root`: the folder that the client names. `route`: where each request goes instead, as a balancer decides it. */
  connect(url: string, root: string, route?: () => string): Promise<AdoptingClient>;
}

const identity = { name: 'adopting-client', version: '1.0.0' };
const options = {
  capabilities: { roots: { listChanged: true }, sampling: {}, elicitation: { form: {} } },
};

/** No call waits longer: a failure is a result. */
const timeout = 30_000;

const packages = resolve(import.meta.dirname, '../../node_modules/@modelcontextprotocol');
const NEWEST = { first: join(packages, 'sdk/dist/esm'), second: join(packages, 'client/dist') };

const load = (folder: string, file: string): Promise<unknown> =>
  import(pathToFileURL(join(folder, file)).href);

/** The defaults of both lines. */
const reconnection = {
  initialReconnectionDelay: 1_000,
  maxReconnectionDelay: 30_000,
  reconnectionDelayGrowFactor: 1.5,
  maxRetries: 2,
};

/** `folder` holds the build of `@modelcontextprotocol/sdk`. */
export const firstLine = (name: string, folder: string): ClientKind => ({
  name,
  wants: '2025',
  async connect(url, root, route) {
    const { Client } = (await load(folder, 'client/index.js')) as Pick<FirstLine, 'Client'>;
    const http = (await load(folder, 'client/streamableHttp.js')) as {
      StreamableHTTPClientTransport: FirstLine['Http'];
    };
    const own = (await load(folder, 'types.js')) as FirstLine['types'];
    const build = { Client, Http: http.StreamableHTTPClientTransport, types: own };
    return adopting(
      await openV1(url, behind(root, route), 'http', build),
      own.ElicitRequestSchema !== undefined,
    );
  },
});

/** `folder` holds the build of `@modelcontextprotocol/client`. `pinned` refuses a server of another era. */
export const secondLine = (
  name: string,
  folder: string,
  mode: 'legacy' | 'auto' | 'pinned',
): ClientKind => ({
  name,
  wants: mode === 'legacy' ? '2025' : mode === 'auto' ? '2026-07-28' : 'pinned',
  async connect(url, root, route) {
    const { Client, StreamableHTTPClientTransport: Http } = (await load(folder, 'index.mjs')) as {
      Client: SecondLine['Client'];
      StreamableHTTPClientTransport: SecondLine['Http'];
    };
    const negotiated = mode === 'pinned' ? ({ pin: '2026-07-28' } as const) : mode;
    return adopting(
      await openV2(url, behind(root, route), 'http', negotiated, { Client, Http }),
      true,
    );
  },
});

/** What a person and a model answer. `root`: the folder that they name. */
const behind = (root: string, route?: () => string): ConnectOptions => ({
  roots: () => ({ roots: [{ uri: `file://${root}`, name: 'root' }] }),
  sample: () => ({ model: 'm', role: 'assistant', content: { type: 'text', text: 'sampled' } }),
  elicit: () => ({ action: 'accept', content: { name: 'elicited' } }),
  reconnection,
  timeout,
  ...(route !== undefined && { route }),
});

const adopting = (
  { client, callTool, messages, protocolVersion, close }: OfficialClient,
  elicits: boolean,
): AdoptingClient => ({
  era: protocolVersion() === '2026-07-28' ? '2026-07-28' : '2025',
  elicits,
  tools: async () =>
    (await client.listTools({}, { timeout })).tools.map((tool) => tool.name).toSorted(),
  call: ({ name, args }, more) => answerOf(callTool(name, args, { timeout, ...more })),
  subscribe: (uri) => client.subscribeResource({ uri }, { timeout }),
  messages,
  close,
});

/** Those that sojourn is developed with. */
export const CLIENTS: readonly ClientKind[] = [
  firstLine('v1', NEWEST.first),
  secondLine('v2 legacy', NEWEST.second, 'legacy'),
  secondLine('v2 auto', NEWEST.second, 'auto'),
  secondLine('v2 pinned', NEWEST.second, 'pinned'),
];

/** Errors that a client makes itself: a closed connection, and a call without an answer. */
const OWN_CODES = [-32000, -32001];

interface Result {
  readonly content?: unknown;
  readonly structuredContent?: unknown;
  readonly isError?: unknown;
}

/** An error of the server is an answer. */
async function answerOf(calling: Promise<unknown>): Promise<string> {
  try {
    const { content, structuredContent, isError = false } = (await calling) as Result;
    return JSON.stringify({ isError, content, structuredContent });
  } catch (error) {
    const { code, message } = error as { readonly code?: unknown; readonly message: string };
    if (typeof code !== 'number' || OWN_CODES.includes(code)) throw error;
    // The first line of the SDK writes the code before the message, once in the server and once in the client.
    return JSON.stringify({
      error: { code, message: message.replace(/^(?:MCP error -?\d+: )+/, '') },
    });
  }
}

/** What a published server answers to one call on stdio, its own transport. Rejects with what it printed last. */
export async function answerOnStdio(
  server: StdioServerParameters,
  { name, args = {} }: Call,
): Promise<string> {
  const client = new Client(identity, options);
  client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: [] }));
  const transport = new StdioClientTransport({ ...server, stderr: 'pipe' });
  let printed = '';
  transport.stderr?.on(
    'data',
    (chunk: Buffer) => (printed = `${printed}${String(chunk)}`.slice(-4000)),
  );
  try {
    await client.connect(transport, { timeout });
    const { tools } = await client.listTools({}, { timeout });
    if (!tools.some((tool) => tool.name === name)) throw new Error(`there is no tool ${name}`);
    return await answerOf(client.callTool({ name, arguments: args }, undefined, { timeout }));
  } catch (cause) {
    throw new Error(`on stdio: ${String(cause)}: ${printed}`, { cause });
  } finally {
    await client.close();
  }
}
