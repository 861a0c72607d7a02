/** Official TypeScript clients that call without a pause, and notice which of their responses broke. */
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

/** A call whose response broke; ms from the fault to its answer, `undefined`: it was lost. */
export interface BrokenCall {
  readonly answeredMs: number | undefined;
}

export interface Caller {
  /** The running call is its last one. */
  last(): void;
  /** `undefined`: its response did not break. */
  ended(faultAt: number): Promise<BrokenCall | undefined>;
  close(): Promise<void>;
}

interface OfficialClient {
  call(): Promise<unknown>;
  close(): Promise<void>;
}

type Fetch = (url: string | URL, init?: RequestInit) => Promise<Response>;

const INFO = { name: 'bench', version: '1.0.0' };
/** A client gives a lost call up by then. */
const TIMEOUT_MS = 20_000;

export async function openCallers(url: string, count: number, ms: number): Promise<Caller[]> {
  return Promise.all(
    Array.from({ length: count }, async (_, n) => {
      const caller = new CallingClient(n % 2 === 0 ? connectV1 : connectV2, ms);
      await caller.open(new URL(url));
      return caller;
    }),
  );
}

type Connect = (url: URL, fetch: Fetch, ms: number) => Promise<OfficialClient>;

const connectV1: Connect = async (url, fetch, ms) => {
  const client = new ClientV1(INFO);
  await client.connect(new HttpV1(url, { fetch }));
  const params = { name: 'work', arguments: { ms } };
  return {
    call: () => client.callTool(params, undefined, { timeout: TIMEOUT_MS }),
    close: () => client.close(),
  };
};

const connectV2: Connect = async (url, fetch, ms) => {
  const client = new ClientV2(INFO);
  await client.connect(new HttpV2(url, { fetch }));
  const params = { name: 'work', arguments: { ms } };
  return { call: () => client.callTool(params, { timeout: TIMEOUT_MS }), close: () => client.close() };
};

class CallingClient implements Caller {
  readonly #connect: Connect;
  readonly #ms: number;
  #client: OfficialClient | undefined;
  #isLast = false;
  /** The response of the running call. */
  #broke = false;
  #calls: Promise<number | undefined> = Promise.resolve(undefined);

  constructor(connect: Connect, ms: number) {
    this.#connect = connect;
    this.#ms = ms;
  }

  async open(url: URL): Promise<void> {
    this.#client = await this.#connect(url, (to, init) => this.#fetch(to, init), this.#ms);
    this.#calls = this.#callOn(this.#client);
  }

  last(): void {
    this.#isLast = true;
  }

  async ended(faultAt: number): Promise<BrokenCall | undefined> {
    const at = await this.#calls;
    return this.#broke ? { answeredMs: at === undefined ? undefined : at - faultAt } : undefined;
  }

  async close(): Promise<void> {
    await this.#client?.close().catch(() => {});
  }

  /** Resolves with the time of the last answer. */
  async #callOn(client: OfficialClient): Promise<number | undefined> {
    try {
      do await client.call();
      while (!this.#isLast);
      return performance.now();
    } catch {
      return undefined;
    }
  }

  async #fetch(url: string | URL, init?: RequestInit): Promise<Response> {
    const isCall = init?.method === 'POST' && String(init.body).includes('"tools/call"');
    if (!isCall) return fetch(url, init);
    try {
      const response = await fetch(url, init);
      return response.body === null ? response : new Response(this.#watched(response.body), response);
    } catch (cause) {
      this.#broke = true;
      throw cause;
    }
  }

  #watched(body: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
    const reader = body.getReader();
    return new ReadableStream({
      pull: async (to) => {
        try {
          const { done, value } = await reader.read();
          if (done) to.close();
          else to.enqueue(value);
        } catch (cause) {
          this.#broke = true;
          to.error(cause);
        }
      },
      cancel: (reason) => reader.cancel(reason),
    });
  }
}
