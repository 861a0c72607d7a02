/** Clients that call a tool again and again, whatever happens to the server, and what their users see. */
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { now } from '../history.ts';
import { pause } from '../pause.ts';
import { DEADLINE_MS, type OtherKind } from './other-actor.ts';

/** What the official clients wait for an answer by themselves. */
const TIMEOUT_MS = 60_000;

export interface Called {
  /** Of the client in another language that called. */
  readonly title?: string | undefined;
  readonly nonce: string;
  readonly effect: boolean;
  readonly sentAt: number;
  endedAt: number;
  error: string | undefined;
}

/** `after-answer`: like a person or a program that needs each answer. `steady`: whatever is still running. */
export const PACES = ['after-answer', 'steady'] as const;
export type PaceName = (typeof PACES)[number];

export interface CallPace {
  readonly name: PaceName;
  /** From an answer to the next call, or from a call to the next one. */
  readonly pauseMs: number;
}

export interface PacedCallers {
  /** No further calls; resolves when every call has ended. */
  stop(): Promise<readonly Called[]>;
}

export interface Caller {
  readonly title?: string;
  call(name: string, nonce: string): Promise<string>;
  close(): Promise<void>;
}

/** Both lines hold calls to the same result. */
interface Tools {
  callTool(params: object, ...rest: readonly unknown[]): Promise<unknown>;
  close(): Promise<void>;
}

/** `count` official clients of both lines, which call from now on. `name` is part of their nonces. */
export async function startCallers(url: string, name: string, count: number, pace: CallPace): Promise<PacedCallers> {
  const lines = Array.from({ length: count }, (_, n) => (n % 2 === 0 ? 'v1' : 'v2'));
  return paced(await Promise.all(lines.map((line, n) => connect(url, line, `${name}-${n}`))), name, pace);
}

/** The same with a client of each kind, in other languages. */
export async function startOthers(
  url: string,
  name: string,
  kinds: readonly OtherKind[],
  pace: CallPace,
): Promise<PacedCallers> {
  return paced(await Promise.all(kinds.map((kind) => connectOther(url, kind))), name, pace);
}

export function paced(clients: readonly Caller[], name: string, pace: CallPace): PacedCallers {
  let over = false;
  const calling = clients.map((client, n) => callOn(client, `${name}-${n}`, pace, () => over));
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
      return valueOf(content[0]?.text, isError);
    },
    close: () => client.close(),
  };
}

function valueOf(text = '', isError = false): string {
  if (isError) throw new Error(text);
  return (JSON.parse(text) as { value: string }).value;
}

/** A client that its SDK gave up is replaced: the user of a later call sees only that call. */
async function connectOther(url: string, { title, connect: open }: OtherKind): Promise<Caller> {
  let client = await open(url);
  let opening: Promise<unknown> | undefined;
  return {
    title,
    async call(tool, nonce) {
      if (client.dead !== undefined) {
        opening ??= open(url).then((next) => {
          client = next;
          opening = undefined;
        });
        await opening;
      }
      const used = client;
      const event = await used.outcome(tool, { nonce }, DEADLINE_MS);
      if (event === undefined) throw new Error(used.dead === undefined ? 'timed out' : `dead: ${used.dead}`);
      if (event.event !== 'answered') throw new Error(event.error);
      return valueOf(event.text, event.isError);
    },
    close: async () => void (await client.close()),
  };
}

async function callOn(client: Caller, name: string, pace: CallPace, over: () => boolean): Promise<Called[]> {
  const calls: Called[] = [];
  const underWay: Promise<void>[] = [];
  while (!over()) {
    const nonce = `${name}:${calls.length}`;
    const effect = calls.length % 2 === 0;
    const called: Called = { title: client.title, nonce, effect, sentAt: now(), endedAt: Infinity, error: undefined };
    calls.push(called);
    const end = (error?: string): void => {
      called.endedAt = now();
      called.error = error;
    };
    const ended = client.call(effect ? 'effect' : 'read', nonce).then(
      (value) => end(value === nonce ? undefined : `another's answer: ${value}`),
      (error: unknown) => end(String(error)),
    );
    if (pace.name === 'after-answer') await ended;
    else underWay.push(ended);
    await pause(pace.pauseMs);
  }
  await Promise.all(underWay);
  return calls;
}
