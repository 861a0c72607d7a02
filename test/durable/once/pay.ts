/** Two instances on one store with the tool `pay` of `once()`, whose runs the test ends, and clients of both eras. */
import { inputRequired, type ServerContext } from '@modelcontextprotocol/server';
import { z } from 'zod';
import type { McpEndpointOptions } from '../../../src/index.ts';
import { once, type OnceOptions, RUNS_ONCE } from '../../../src/durable/once/index.ts';
import type { JsonRpcAnswer, RawClient } from '../../kit/raw-client.ts';
import type { RawResponse } from '../../kit/raw-response.ts';
import { serveMember } from '../../kit/fleet.ts';
import { createLab } from '../../kit/lab.ts';
import { callModern, postModern } from '../../kit/modern.ts';
import { userHeader } from '../../kit/serve.ts';
import { sharedStore, type StoreKind } from '../../kit/shared-stores.ts';
import { said } from '../../kit/tool-server.ts';
import { until } from '../../kit/until.ts';
import { loseLease, watchedStore } from '../../kit/watched-store.ts';

export interface Order {
  readonly id: string;
  readonly cents?: number | undefined;
}

export type Once = Partial<OnceOptions<[Order, ServerContext], ReturnType<typeof said>>>;

export const USER = { headers: { 'x-user': 'ada' } };
const CAPABILITIES = { elicitation: {}, sampling: {} };
const QUESTION = inputRequired.elicit({
  message: 'Sure?',
  requestedSchema: z.object({ sure: z.boolean() }),
});

/** A run of the handler. */
export interface Run {
  /** The instance that runs it. */
  readonly who: string;
  readonly ctx: ServerContext;
  readonly signal: AbortSignal;
  answer(text: string, isError?: boolean): void;
  fail(error: Error): void;
  /** Ends with a question to its client. */
  ask(): void;
}

const callOf = (args: object) => ({ name: 'pay', arguments: args });

/** How a client of each era calls `pay`. */
export const eras = {
  '2026-07-28': {
    connect: async (client: RawClient) => client,
    call: async (client: RawClient, args: object): Promise<JsonRpcAnswer> =>
      (await callModern(client, 'tools/call', callOf(args), { capabilities: CAPABILITIES }))
        .message,
    post: (client: RawClient, args: object): Promise<RawResponse> =>
      postModern(client, 'tools/call', callOf(args), { capabilities: CAPABILITIES }),
  },
  'a session': {
    connect: async (client: RawClient) => {
      await client.initialize({ capabilities: CAPABILITIES });
      return client;
    },
    call: async (client: RawClient, args: object): Promise<JsonRpcAnswer> =>
      (await client.call('tools/call', callOf(args))).message,
    post: (client: RawClient, args: object): Promise<RawResponse> =>
      client.post({
        jsonrpc: '2.0',
        id: client.nextId(),
        method: 'tools/call',
        params: callOf(args),
      }),
  },
};
export type EraName = keyof typeof eras;
export const eraNames = Object.keys(eras) as EraName[];

/** One instance whose tool `pay` is this handler. */
export function servePay(
  run: (args: { id: string }, ctx: unknown) => unknown,
  options: McpEndpointOptions = {},
) {
  const lab = createLab((server) => {
    server.registerTool('pay', { inputSchema: z.object({ id: z.string() }) }, run as never);
  });
  return serveMember(options, { face: 'node', auth: userHeader }, lab);
}

/** `tool`: of the registration. */
export async function openPay(
  given: Once = {},
  options: McpEndpointOptions = {},
  { kind = 'memory', tool = {} }: { kind?: StoreKind; tool?: object } = {},
) {
  const runs: Run[] = [];
  const make = sharedStore(kind);
  const member = async (who: string) => {
    const lab = createLab((server) => {
      const pay = once<[Order, ServerContext], ReturnType<typeof said>>(
        (_order, ctx) =>
          new Promise((resolve, reject) => {
            const { signal } = ctx.mcpReq;
            runs.push({
              who,
              ctx,
              signal,
              answer: (text, isError = false) =>
                resolve({ ...said(text), ...(isError && { isError }) }),
              fail: reject,
              ask: () => resolve(inputRequired({ inputRequests: { sure: QUESTION } }) as never),
            });
            signal.addEventListener('abort', () => reject(new Error('aborted')));
          }),
        { key: ({ id }) => id, ...given },
      );
      const inputSchema = z.object({ id: z.string(), cents: z.number().optional() });
      server.registerTool('pay', { inputSchema, _meta: RUNS_ONCE, ...tool }, pay as never);
    });
    const store = watchedStore({ inner: make(), durable: true });
    const served = await serveMember(
      { keepAliveMs: 20, ...options, store },
      { face: 'node', auth: userHeader },
      lab,
    );
    // Not a copy: its `id` is known once the store is open.
    return Object.assign(served, { store });
  };
  const [first, second] = [await member('first'), await member('second')];
  const { store } = first;
  const ran = (n: number): Promise<Run> => until(() => runs[n] as Run, { what: `run ${n}` });
  /** The lease of an instance, by default of the first, is gone. */
  const lose = async (of = first) => loseLease(of.store, await until(() => of.id));
  return { store, first, second, member, runs, ran, lose };
}
