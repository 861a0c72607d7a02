/** The official clients of both lines with their whole OAuth flow, and a user at a browser. */
import {
  Client as ClientV2,
  StreamableHTTPClientTransport as HttpV2,
  UnauthorizedError as UnauthorizedV2,
} from '@modelcontextprotocol/client';
import { UnauthorizedError as UnauthorizedV1 } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { onTestFinished } from 'vitest';
import { CLIENT, CLIENT_DOCUMENT, REDIRECT } from './authorization-server.ts';

export interface Registration {
  /** Offered, and used where the authorization server takes it. */
  readonly document?: boolean;
  /** Registered by hand before. */
  readonly clientId?: string;
  /** Where its user comes back to. */
  readonly redirect?: string;
}

/** What a client remembers; the same shape for both lines. */
function createProvider({ document = false, clientId, redirect = REDIRECT }: Registration) {
  const kept = new Map<string, any>();
  if (clientId !== undefined) kept.set('client', { client_id: clientId });
  const provider = {
    redirectUrl: redirect,
    ...(document && { clientMetadataUrl: CLIENT_DOCUMENT }),
    clientMetadata: { ...CLIENT, redirect_uris: [redirect] },
    state: () => 'state-of-the-client',
    clientInformation: () => kept.get('client'),
    saveClientInformation: (info: unknown) => void kept.set('client', info),
    tokens: () => kept.get('tokens'),
    saveTokens: (tokens: unknown) => void kept.set('tokens', tokens),
    redirectToAuthorization: (url: URL) => void kept.set('url', url),
    saveCodeVerifier: (verifier: string) => void kept.set('verifier', verifier),
    codeVerifier: () => kept.get('verifier'),
    saveDiscoveryState: (state: unknown) => void kept.set('discovery', state),
    discoveryState: () => kept.get('discovery'),
  };
  return { kept, provider };
}

export interface Connected {
  readonly kept: Map<string, any>;
  call(tool: string, args?: Record<string, unknown>): Promise<string>;
}

/** The user of a client, at a browser. */
export interface Approving {
  /** Follows an authorization request; resolves with the parameters of the redirect to the client. */
  approve(url: URL): Promise<URLSearchParams>;
}

/** Connects; whenever the client needs its user, she approves. */
export type Connect = (
  url: string,
  user: Approving,
  registration: Registration,
) => Promise<Connected>;

const textOf = (result: unknown): string =>
  (result as { content: Array<{ text: string }> }).content[0]?.text ?? '';

/** One line of the SDK. */
interface Line<Transport> {
  transport(url: URL, authProvider: ReturnType<typeof createProvider>['provider']): Transport;
  client(): {
    connect(transport: Transport): Promise<void>;
    callTool(call: { name: string; arguments: Record<string, unknown> }): Promise<unknown>;
    close(): Promise<void>;
  };
  readonly Unauthorized: new () => Error;
  /** `redirected`: the parameters of the redirect to the client. */
  finish(transport: Transport, redirected: URLSearchParams): Promise<void>;
}

function connecting<Transport>({
  transport,
  client,
  Unauthorized,
  finish,
}: Line<Transport>): Connect {
  return async (url, user, registration) => {
    const { kept, provider } = createProvider(registration);
    let way = transport(new URL(url), provider);
    const approved = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof Unauthorized)) throw error;
        await finish(way, await user.approve(kept.get('url')));
        return undefined;
      }
    };
    await approved(() => client().connect(way));
    way = transport(new URL(url), provider);
    const connected = client();
    await connected.connect(way);
    onTestFinished(() => connected.close());
    return {
      kept,
      call: async (name, args = {}) => {
        const call = () => connected.callTool({ name, arguments: args });
        return textOf((await approved(call)) ?? (await call()));
      },
    };
  };
}

export const connectV1 = connecting<HttpV1>({
  transport: (url, authProvider) => new HttpV1(url, { authProvider }),
  client: () => new ClientV1({ name: 'v1', version: '1' }),
  Unauthorized: UnauthorizedV1,
  finish: (way, redirected) => way.finishAuth(redirected.get('code') ?? ''),
});

export const connectV2 = (mode: 'legacy' | 'auto'): Connect =>
  connecting<HttpV2>({
    transport: (url, authProvider) => new HttpV2(url, { authProvider }),
    client: () => new ClientV2({ name: 'v2', version: '1' }, { versionNegotiation: { mode } }),
    Unauthorized: UnauthorizedV2,
    finish: (way, redirected) => way.finishAuth(redirected),
  });
