/** Official clients that call a tool every few ms, whatever happens to the server, and what their users see. */
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { now } from '../history.ts';
import { pause } from '../pause.ts';

/** What the official clients wait for an answer by themselves. */
const TIMEOUT_MS = 60_000;

export interface Called {
  readonly nonce: string;
  readonly effect: boolean;
  readonly sentAt: number;
  endedAt: number;
  error: string | undefined;
}

export interface SteadyCallers {
  /** No further calls; resolves when every call has ended. */
  stop(): Promise<readonly Called[]>;
}

interface Caller {
  call(name: string, nonce: string): Promise<string>;
  close(): Promise<void>;
}

/** Both lines hold calls to the same result. */
interface Tools {
  callTool(params: object, ...rest: readonly unknown[]): Promise<unknown>;
  close(): Promise<void>;
}

/** `count` clients of both lines; each calls every `everyMs` from now on. `name` is part of their nonces. */
export async function startCallers(url: string, name: string, count: number, everyMs: number): Promise<SteadyCallers> {
  const names = Array.from({ length: count }, (_, n) => `${name}-${n}`);
  const clients = await Promise.all(names.map((one, n) => connect(url, n % 2 === 0 ? 'v1' : 'v2', one)));
  let over = false;
  const calling = clients.map((client, n) => callOn(client, names[n] as string, everyMs, () => over));
  return {
    async stop() {
      over = true;
      const all = (await Promise.all(calling)).flat();
      await Promise.all(clients.map((client) => client.close().catch(() => {})));
      return all;
    },
  };
}

async function connect(url: string, line: 'v1' | 'v2', name: string): Promise<Caller> {
  const options = { requestInit: { headers: { 'x-user': name } } };
  const identity = { name, version: '1' };
  let client: Tools;
  if (line === 'v1') {
    const v1 = new ClientV1(identity);
    await v1.connect(new HttpV1(new URL(url), options));
    client = v1;
  } else {
    const v2 = new ClientV2(identity, { versionNegotiation: { mode: 'legacy' } });
    await v2.connect(new HttpV2(new URL(url), options));
    client = v2;
  }
  const timeout = { timeout: TIMEOUT_MS };
  return {
    async call(tool, nonce) {
      const params = { name: tool, arguments: { nonce } };
      const result = await (line === 'v1'
        ? client.callTool(params, undefined, timeout)
        : client.callTool(params, timeout));
      const { content, isError } = result as { content: { text?: string }[]; isError?: boolean };
      const text = content[0]?.text ?? '';
      if (isError === true) throw new Error(text);
      return (JSON.parse(text) as { value: string }).value;
    },
    close: () => client.close(),
  };
}

async function callOn(client: Caller, name: string, everyMs: number, over: () => boolean): Promise<Called[]> {
  const calls: Called[] = [];
  const underWay: Promise<void>[] = [];
  while (!over()) {
    const nonce = `${name}:${calls.length}`;
    const effect = calls.length % 2 === 0;
    const called: Called = { nonce, effect, sentAt: now(), endedAt: Infinity, error: undefined };
    calls.push(called);
    const end = (error?: string): void => {
      called.endedAt = now();
      called.error = error;
    };
    underWay.push(
      client.call(effect ? 'effect' : 'read', nonce).then(
        (value) => end(value === nonce ? undefined : `another's answer: ${value}`),
        (error: unknown) => end(String(error)),
      ),
    );
    await pause(everyMs);
  }
  await Promise.all(underWay);
  return calls;
}
