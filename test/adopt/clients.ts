/** The official clients of both lines as a person uses them: their defaults, and answers to what servers ask. */
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client';
import type { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport, type StdioServerParameters } from '@modelcontextprotocol/sdk/client/stdio.js';
import type { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import * as types from '@modelcontextprotocol/sdk/types.js';

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
  /** The methods that the server has asked this client, and the notifications of updates. */
  readonly asked: string[];
  close(): Promise<void>;
}

export interface ClientKind {
  readonly name: string;
  /** The era in which the client reaches a server of the second line; `pinned` to it, it reaches no other one. */
  readonly wants: Era | 'pinned';
  /** `root`: the folder that the client names. */
  connect(url: string, root: string): Promise<AdoptingClient>;
}

const identity = { name: 'adopting-client', version: '1.0.0' };
const options = { capabilities: { roots: { listChanged: true }, sampling: {}, elicitation: { form: {} } } };
const UPDATED = 'notifications/resources/updated';

/** No call waits longer: a failure is a result. */
const timeout = 30_000;

const packages = resolve(import.meta.dirname, '../../node_modules/@modelcontextprotocol');
const NEWEST = { first: join(packages, 'sdk/dist/esm'), second: join(packages, 'client/dist') };

const load = (folder: string, file: string): Promise<unknown> => import(pathToFileURL(join(folder, file)).href);

/** What a person and a model answer, by what they are asked. */
const answersOf = (root: string): Readonly<Record<string, object>> => ({
  'roots/list': { roots: [{ uri: `file://${root}`, name: 'root' }] },
  'sampling/createMessage': { model: 'm', role: 'assistant', content: { type: 'text', text: 'sampled' } },
  'elicitation/create': { action: 'accept', content: { name: 'elicited' } },
});

/** After `end` no request is answered: a client that was closed while it came back would try again and again. */
function endingFetch(): { readonly fetch: typeof fetch; end(): void } {
  let ended = false;
  return {
    fetch: (input, init) => (ended ? new Promise<never>(() => {}) : fetch(input, init)),
    end: () => (ended = true),
  };
}

/** `folder` holds the build of `@modelcontextprotocol/sdk`. */
export const firstLine = (name: string, folder: string): ClientKind => ({
  name,
  wants: '2025',
  async connect(url, root) {
    const module = (await load(folder, 'client/index.js')) as { Client: typeof ClientV1 };
    const http = (await load(folder, 'client/streamableHttp.js')) as { StreamableHTTPClientTransport: typeof HttpV1 };
    const own = (await load(folder, 'types.js')) as typeof types;
    const client = new module.Client(identity, options);
    const asked: string[] = [];
    const answers = answersOf(root);
    for (const schema of [own.ListRootsRequestSchema, own.CreateMessageRequestSchema, own.ElicitRequestSchema])
      if (schema !== undefined)
        client.setRequestHandler(schema, ({ method }) => {
          asked.push(method);
          return answers[method] as never;
        });
    client.setNotificationHandler(own.ResourceUpdatedNotificationSchema, ({ method }) => void asked.push(method));
    const { fetch, end } = endingFetch();
    await client.connect(new http.StreamableHTTPClientTransport(new URL(url), { fetch }), { timeout });
    return {
      era: '2025',
      elicits: own.ElicitRequestSchema !== undefined,
      tools: async () => (await client.listTools({}, { timeout })).tools.map((tool) => tool.name).toSorted(),
      call: (call, more) => answerOf(client.callTool(paramsOf(call), undefined, { timeout, ...more })),
      subscribe: (uri) => client.subscribeResource({ uri }, { timeout }),
      asked,
      close: () => client.close().finally(end),
    };
  },
});

/** `folder` holds the build of `@modelcontextprotocol/client`. `pinned` refuses a server of another era. */
export const secondLine = (name: string, folder: string, mode: 'legacy' | 'auto' | 'pinned'): ClientKind => ({
  name,
  wants: mode === 'legacy' ? '2025' : mode === 'auto' ? '2026-07-28' : 'pinned',
  async connect(url, root) {
    const module = (await load(folder, 'index.mjs')) as {
      Client: typeof ClientV2;
      StreamableHTTPClientTransport: typeof HttpV2;
    };
    const negotiated = { mode: mode === 'pinned' ? ({ pin: '2026-07-28' } as const) : mode };
    const client = new module.Client(identity, { ...options, versionNegotiation: negotiated });
    const asked: string[] = [];
    const answers = answersOf(root);
    for (const method of ['roots/list', 'sampling/createMessage', 'elicitation/create'] as const)
      client.setRequestHandler(method, () => {
        asked.push(method);
        return answers[method] as never;
      });
    client.setNotificationHandler(UPDATED, () => void asked.push(UPDATED));
    const { fetch, end } = endingFetch();
    await client.connect(new module.StreamableHTTPClientTransport(new URL(url), { fetch }), { timeout });
    return {
      era: client.getNegotiatedProtocolVersion() === '2026-07-28' ? '2026-07-28' : '2025',
      elicits: true,
      tools: async () => (await client.listTools({}, { timeout })).tools.map((tool) => tool.name).toSorted(),
      call: (call, more) => answerOf(client.callTool(paramsOf(call), { timeout, ...more })),
      subscribe: (uri) => client.subscribeResource({ uri }, { timeout }),
      asked,
      close: () => client.close().finally(end),
    };
  },
});

/** Those that sojourn is developed with. */
export const CLIENTS: readonly ClientKind[] = [
  firstLine('v1', NEWEST.first),
  secondLine('v2 legacy', NEWEST.second, 'legacy'),
  secondLine('v2 auto', NEWEST.second, 'auto'),
  secondLine('v2 pinned', NEWEST.second, 'pinned'),
];

const paramsOf = ({ name, args = {} }: Call) => ({ name, arguments: args });

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
    return JSON.stringify({ error: { code, message: message.replace(/^(?:MCP error -?\d+: )+/, '') } });
  }
}

/** What a published server answers to one call on stdio, its own transport. Rejects with what it printed last. */
export async function answerOnStdio(server: StdioServerParameters, call: Call): Promise<string> {
  const client = new Client(identity, options);
  client.setRequestHandler(types.ListRootsRequestSchema, () => ({ roots: [] }));
  const transport = new StdioClientTransport({ ...server, stderr: 'pipe' });
  let printed = '';
  transport.stderr?.on('data', (chunk: Buffer) => (printed = `${printed}${String(chunk)}`.slice(-4000)));
  try {
    await client.connect(transport, { timeout });
    const { tools } = await client.listTools({}, { timeout });
    if (!tools.some(({ name }) => name === call.name)) throw new Error(`there is no tool ${call.name}`);
    return await answerOf(client.callTool(paramsOf(call), undefined, { timeout }));
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
