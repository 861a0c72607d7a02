/**
 * Clients for the servers of `sdks.ts`: the official ones of both lines, from any copy, and those of other languages.
 * They keep their defaults, except that they come back soon after a restart.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client';
import type { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import type { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type * as TypesV1 from '@modelcontextprotocol/sdk/types.js';
import type { Era as OtherEra, OtherProgram } from '../clients/other-client.ts';
import { createRawClient } from '../kit/raw-client.ts';
import { until } from '../kit/until.ts';
import { resultOf, TaskClient } from '../tasks/kit.ts';

export type Era = '2025' | '2026-07-28';

export interface SdkClient {
  readonly era: Era;
  /** The names of the tools. */
  readonly tools: readonly string[];
  /** The text of the answer, and whether progress came. */
  echo(text: string): Promise<{ readonly text: string; readonly progressed: boolean | undefined }>;
  /** What the server makes of the answer `blue`. `undefined`: this client cannot be asked. */
  ask?(): Promise<string>;
  /** Begins a task. Resolves with what waits for its result. `undefined`: this client knows no tasks. */
  film?(): Promise<() => Promise<string>>;
  close(): Promise<unknown>;
}

export interface ClientKind {
  readonly name: string;
  /** The era in which the client reaches a server of the second line, if it reaches it. */
  readonly wants: Era | 'newest';
  connect(url: string): Promise<SdkClient>;
}

const identity = { name: 'sdk-client', version: '1.0.0' };
const capabilities = { elicitation: { form: {} } };
const BLUE = { action: 'accept', content: { colour: 'blue' } } as const;
const reconnectionOptions = {
  initialReconnectionDelay: 50,
  maxReconnectionDelay: 200,
  reconnectionDelayGrowFactor: 1,
  maxRetries: 100,
};

/** After `end` no request is answered: a client that was closed while it came back would try again and again. */
function endingFetch(): { readonly fetch: typeof fetch; end(): void } {
  let ended = false;
  return {
    fetch: (input, init) => (ended ? new Promise<never>(() => {}) : fetch(input, init)),
    end: () => (ended = true),
  };
}

const load = (folder: string, file: string): Promise<unknown> => import(pathToFileURL(join(folder, file)).href);

/** `folder` holds the build of `@modelcontextprotocol/sdk`. */
export const firstLine = (name: string, folder: string): ClientKind => ({
  name,
  wants: '2025',
  async connect(url) {
    const { Client } = (await load(folder, 'client/index.js')) as { Client: typeof ClientV1 };
    const http = (await load(folder, 'client/streamableHttp.js')) as { StreamableHTTPClientTransport: typeof HttpV1 };
    const { ElicitRequestSchema } = (await load(folder, 'types.js')) as Partial<typeof TypesV1>;
    const client = new Client(identity, { capabilities });
    if (ElicitRequestSchema !== undefined) client.setRequestHandler(ElicitRequestSchema, () => BLUE);
    const requests = endingFetch();
    await client.connect(
      new http.StreamableHTTPClientTransport(new URL(url), { reconnectionOptions, fetch: requests.fetch }),
    );
    const call: Call = (params, onprogress) => client.callTool(params, undefined, { onprogress });
    return official(client, requests.end, '2025', call, ElicitRequestSchema !== undefined);
  },
});

/** `folder` holds the build of `@modelcontextprotocol/client`. */
export const secondLine = (
  name: string,
  folder: string,
  mode: 'legacy' | 'auto' | { readonly pin: '2026-07-28' },
): ClientKind => ({
  name,
  wants: mode === 'legacy' ? '2025' : mode === 'auto' ? 'newest' : mode.pin,
  async connect(url) {
    const module = await load(folder, 'index.mjs');
    const { Client, StreamableHTTPClientTransport } = module as {
      Client: typeof ClientV2;
      StreamableHTTPClientTransport: typeof HttpV2;
    };
    const client = new Client(identity, { capabilities, versionNegotiation: { mode } });
    client.setRequestHandler('elicitation/create', () => BLUE);
    const requests = endingFetch();
    await client.connect(
      new StreamableHTTPClientTransport(new URL(url), { reconnectionOptions, fetch: requests.fetch }),
    );
    const era = client.getNegotiatedProtocolVersion() === '2026-07-28' ? '2026-07-28' : '2025';
    const call: Call = (params, onprogress) => client.callTool(params, { onprogress });
    return official(client, requests.end, era, call, true);
  },
});

interface Called {
  readonly content: ReadonlyArray<{ readonly text: string }>;
}

type Call = (params: { name: string; arguments: Record<string, unknown> }, onprogress: () => void) => Promise<unknown>;

interface OfficialClient {
  listTools(): Promise<{ readonly tools: ReadonlyArray<{ readonly name: string }> }>;
  close(): Promise<void>;
}

async function official(
  client: OfficialClient,
  end: () => void,
  era: Era,
  call: Call,
  canBeAsked: boolean,
): Promise<SdkClient> {
  const say = async (name: string, args: Record<string, unknown>, onprogress = (): void => {}): Promise<string> => {
    const answer = (await call({ name, arguments: args }, onprogress)) as Called & { readonly isError?: boolean };
    const text = answer.content.map((part) => part.text).join();
    if (answer.isError) throw new Error(text);
    return text;
  };
  const { tools } = await client.listTools();
  return {
    era,
    tools: tools.map(({ name }) => name),
    async echo(text) {
      let progressed = false;
      const answer = await say('echo', { text }, () => (progressed = true));
      return { text: answer, progressed };
    },
    ...(canBeAsked && { ask: () => say('ask', {}) }),
    close: async () => {
      await client.close();
      end();
    },
  };
}

/** A client that declares the extension for tasks in each request. */
export const withTasks: ClientKind = {
  name: 'tasks',
  wants: '2026-07-28',
  async connect(url) {
    const raw = createRawClient(url, { timeoutMs: 20_000 });
    const client = new TaskClient(raw);
    const { result, error } = await client.ask('tools/list', {});
    if (error !== undefined) throw new Error(error.message);
    const { tools } = result as { readonly tools: ReadonlyArray<{ readonly name: string }> };
    const textOf = (of: unknown): string => (of as Called).content[0]?.text ?? '';
    return {
      era: '2026-07-28',
      tools: tools.map(({ name }) => name),
      echo: async (text) => ({ text: textOf(resultOf(await client.call('echo', { text }))), progressed: undefined }),
      async film() {
        const id = await client.start('film');
        await until(async () => (await client.get(id))['statusMessage'] === 'begun');
        return async () => textOf((await client.ended(id))['result']);
      },
      close: async () => raw.close(),
    };
  },
};

/** A client in another language, of a running program. */
export const otherLanguage = (name: string, program: OtherProgram, era: OtherEra): ClientKind => ({
  name,
  wants: era === '2025' ? '2025' : '2026-07-28',
  async connect(url) {
    const client = await program.connect(url, era);
    const say = async (tool: string, args: object): Promise<string> => {
      const outcome = await client.outcome(tool, args);
      if (outcome?.event !== 'answered' || outcome.isError)
        throw new Error(outcome?.error ?? outcome?.text ?? `hung ${client.dead ?? ''}`);
      return outcome.text ?? '';
    };
    return {
      era: era === '2025' ? '2025' : '2026-07-28',
      tools: ['echo'],
      echo: async (text) => ({ text: await say('echo', { text }), progressed: undefined }),
      close: () => client.close(),
    };
  },
});
