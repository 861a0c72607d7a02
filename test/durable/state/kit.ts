/** Instances on one store whose tool `run` does in its handler what the test says, and clients of both eras. */
import { z } from 'zod';
import type { McpServer } from '@modelcontextprotocol/server';
import type { McpEndpointOptions } from '../../../src/index.ts';
import { textOf, tool } from '../../kit/lab.ts';
import { callModern } from '../../kit/modern.ts';
import type { JsonRpcAnswer } from '../../kit/raw-client.ts';
import { serve, type Served, userHeader } from '../../kit/serve.ts';
import { sharedStore, type StoreKind } from '../../kit/shared-stores.ts';
import { said, toolServer } from '../../kit/tool-server.ts';
import { type WatchedStore, watchedStore } from '../../kit/watched-store.ts';

type Work = () => unknown;

/** Does this in a handler, and resolves with what it returns. Rejects with the text that the model reads. */
export type Run = <T>(work: () => T | Promise<T>) => Promise<T>;

const works = new Map<string, Work>();
let last = 0;

/** `run` does the work that is named by `id`. Its result goes through JSON. */
export function registerRun(server: McpServer): void {
  server.registerTool('run', { inputSchema: z.looseObject({ id: z.string() }) }, async ({ id }) =>
    said(JSON.stringify({ is: await works.get(id)?.() })),
  );
}

export const runner =
  (call: (id: string) => Promise<JsonRpcAnswer>): Run =>
  async <T>(work: () => T | Promise<T>) => {
    const id = `w${(last += 1)}`;
    works.set(id, work);
    const message = await call(id);
    works.delete(id);
    if (message.error !== undefined) throw new Error(message.error.message);
    if (message.result?.['isError'] === true) throw new Error(textOf(message));
    return (JSON.parse(textOf(message) ?? '') as { is: T }).is;
  };

export const eraNames = ['2026-07-28', '2025-11-25'] as const;
export type EraName = (typeof eraNames)[number];

export async function callerAt(at: Served, era: EraName, user?: string): Promise<Run> {
  const options = user === undefined ? {} : { headers: { 'x-user': user } };
  if (era === '2026-07-28') {
    const client = at.client(options);
    return runner(
      async (id) =>
        (await callModern(client, 'tools/call', { name: 'run', arguments: { id } })).message,
    );
  }
  const client = await at.openSession({}, options);
  return runner(async (id) => (await client.call(...tool('run', { id }))).message);
}

export interface Member extends Served {
  readonly store: WatchedStore;
  as(user?: string, era?: EraName): Promise<Run>;
}

type Members<Size extends number> = Size extends 1
  ? [Member]
  : Size extends 2
    ? [Member, Member]
    : Member[];

/** `size` instances that share a store. */
export async function openMembers<Size extends number>(
  size: Size,
  { kind = 'memory', ...options }: McpEndpointOptions & { readonly kind?: StoreKind } = {},
): Promise<Members<Size>> {
  const make = sharedStore(kind);
  const members: Member[] = [];
  for (let n = 0; n < size; n++) {
    const store = watchedStore({ inner: make(), durable: true });
    const served = await serve(
      toolServer({}, registerRun),
      { ...options, store },
      { face: 'node', auth: userHeader },
    );
    members.push({
      ...served,
      store,
      as: (user, era = '2026-07-28') => callerAt(served, era, user),
    });
  }
  return members as Members<Size>;
}
