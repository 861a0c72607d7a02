/** The official clients of both lines as users of them have them, and of 2026-07-28. */
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import type { Answer, Connected, UserKind } from './user-actor.ts';

const identity = { name: 'chaos', version: '1.0.0' };
const capabilities = { elicitation: { form: {} } };

/** As persistent as a client can be told to be; the server says how long to wait. */
const persistent = () => ({
  initialReconnectionDelay: 60,
  maxReconnectionDelay: 500,
  reconnectionDelayGrowFactor: 1.2,
  maxRetries: 10_000,
});

export const OFFICIAL: Readonly<Record<'v1' | 'v2' | 'modern', UserKind['connect']>> = {
  v1: connectV1,
  v2: (url, user, answer) => connectV2(url, user, answer, 'legacy'),
  modern: (url, user, answer) => connectV2(url, user, answer, 'auto'),
};

async function connectV1(url: string, user: string, answer: Answer): Promise<Connected> {
  const reconnectionOptions = persistent();
  const client = new ClientV1(identity, { capabilities });
  client.setRequestHandler(ElicitRequestSchema, ({ params }) => answer(params.message) as never);
  const requestInit = { headers: { 'x-user': user } };
  const transport = new HttpV1(new URL(url), { requestInit, reconnectionOptions });
  await client.connect(transport);
  return {
    session: { id: transport.sessionId ?? '', version: transport.protocolVersion ?? '' },
    call: (name, args, timeout) => client.callTool({ name, arguments: { ...args } }, undefined, { timeout }),
    terminate: () => transport.terminateSession(),
    close: () => {
      // Closing takes the timer of one stream away; another that waits to come back would go on trying.
      reconnectionOptions.maxRetries = 0;
      return client.close();
    },
  };
}

async function connectV2(url: string, user: string, answer: Answer, mode: 'legacy' | 'auto'): Promise<Connected> {
  const reconnectionOptions = persistent();
  const client = new ClientV2(identity, { capabilities, versionNegotiation: { mode } });
  client.setRequestHandler('elicitation/create', ({ params }) => answer(params.message) as never);
  const requestInit = { headers: { 'x-user': user } };
  const transport = new HttpV2(new URL(url), { requestInit, reconnectionOptions });
  await client.connect(transport);
  const version = client.getNegotiatedProtocolVersion() ?? '';
  return {
    ...(mode === 'legacy' && { session: { id: transport.sessionId ?? '', version } }),
    call: (name, args, timeout) => client.callTool({ name, arguments: { ...args } }, { timeout }),
    terminate: () => transport.terminateSession(),
    close: () => {
      reconnectionOptions.maxRetries = 0;
      return client.close();
    },
  };
}
