/**
 * The official clients of both eras, as an application uses them. The build bundles them into the demo
 * (`scripts/bundle-demo.mjs` says what it leaves out), because sojourn does not depend on them.
 */
import { Client as ModernClient, StreamableHTTPClientTransport as ModernTransport } from '@modelcontextprotocol/client';
import { Client as SessionClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as SessionTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

/** 2025: a session. 2026: none. */
export type Era = '2025' | '2026';

export interface DemoConnection {
  readonly version: string;
  /** The id of the session, if there is one. */
  readonly sessionId: string | undefined;
  /** Resolves with the text of the tool's answer. Rejects as the client's `callTool` does, and with a tool's error. */
  count(number: number): Promise<string>;
  close(): Promise<void>;
}

export function connect(era: Era, name: string, url: string): Promise<DemoConnection> {
  return era === '2025' ? connectWithSession(name, url) : connectWithout(name, url);
}

async function connectWithSession(name: string, url: string): Promise<DemoConnection> {
  const client = new SessionClient({ name, version: '1.0.0' });
  const transport = new SessionTransport(new URL(url));
  await client.connect(transport);
  return {
    version: transport.protocolVersion ?? '',
    get sessionId() {
      return transport.sessionId;
    },
    count: async (number) => textOf(await client.callTool({ name: 'count', arguments: { number } })),
    close: () => client.close(),
  };
}

async function connectWithout(name: string, url: string): Promise<DemoConnection> {
  const client = new ModernClient({ name, version: '1.0.0' }, { versionNegotiation: { mode: { pin: '2026-07-28' } } });
  await client.connect(new ModernTransport(new URL(url)));
  return {
    version: client.getNegotiatedProtocolVersion() ?? '',
    sessionId: undefined,
    count: async (number) => textOf(await client.callTool({ name: 'count', arguments: { number } })),
    close: () => client.close(),
  };
}

function textOf(answer: unknown): string {
  const { content, isError } = answer as { content?: readonly { readonly text?: string }[]; isError?: boolean };
  const text = content?.[0]?.text ?? '';
  if (isError === true) throw new Error(text);
  return text;
}
