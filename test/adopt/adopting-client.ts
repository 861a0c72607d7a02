/** The official clients of both lines as a person uses them: their defaults, and answers to what servers ask. */
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
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
  /** The answer as JSON. */
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
      call: async ({ name, args = {} }) =>
        JSON.stringify(await client.callTool({ name, arguments: args }, undefined, { timeout })),
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
    call: async ({ name, args = {} }) => JSON.stringify(await client.callTool({ name, arguments: args }, { timeout })),
    subscribe: (uri) => client.subscribeResource({ uri }, { timeout }),
    asked,
    era: () => (client.getNegotiatedProtocolVersion() === '2026-07-28' ? '2026-07-28' : '2025'),
    close: () => client.close(),
  };
}
