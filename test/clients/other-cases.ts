/**
 * What the user of a client does while everything works, and while the connection breaks. Faults that all users share:
 * other-faults.ts.
 */
import { createFaultProxy, type FaultProxy } from '../kit/fault-proxy.ts';
import { until } from '../kit/until.ts';
import type { Era, OtherClient, OtherProgram, Seen } from './other-client.ts';
import { pause } from './other-deployment.ts';

export interface User {
  readonly program: OtherProgram;
  readonly era: Era;
  /** Of the deployment. */
  readonly port: number;
}

const MIB = 2 ** 20;
const LIST_CHANGED = 'notifications/tools/list_changed';
const PUSH_MS = 10_000;
const CUTS = 10;
/** No client with default settings waits longer before it comes back: twice the server's `retry`. */
const BACK_MS = 12_000;
/** Longer than the clean end after a resume (known clients), so that each cut is a separate break. */
const HEALTHY_MS = 800;
/** The same on a machine with other work, where no call limits how long the cuts may take. */
const IDLE_HEALTHY_MS = 2_000;
/** As long as ten cuts with the `retry` of the server, and below the limit of the TypeScript clients (60 s). */
const CALL_MS = 57_000;
/** Until the stream that is to be cut has its first event, on a machine with other work. */
const RUNNING_MS = 2_000;

export const connect = ({ program, era, port }: User, at = port): Promise<OtherClient> =>
  program.connect(`http://127.0.0.1:${at}/mcp`, era);

/** Whether the client still serves its user: a call, and on 2025 a notification on its GET stream. */
export async function afterwards(client: OtherClient, era: Era): Promise<Seen[]> {
  const seen = [await client.call('read', {}, 'read')];
  if (client.dead !== undefined) return [`dead: ${client.dead}`];
  if (era === '2026') return [...seen, await closed(client)];
  const [revealed, pushed] = await client.notifies(
    LIST_CHANGED,
    () => client.call('reveal'),
    PUSH_MS,
  );
  return [...seen, revealed, pushed ? 'ok' : 'no push', await closed(client)];
}

const closed = async (client: OtherClient): Promise<Seen> => {
  const seen = await client.close();
  return seen === 'ok' ? seen : `failed: closing: ${seen}`;
};

/** Connections in fives, each with a call. */
export const connecting =
  (times: number) =>
  async (user: User): Promise<Seen[]> => {
    const one = async (): Promise<Seen> => {
      try {
        const client = await connect(user);
        const seen = await client.call('read', {}, 'read');
        await client.close();
        return seen;
      } catch (error) {
        return `refused: ${(error as Error).message}`;
      }
    };
    const seen: Seen[] = [];
    while (seen.length < times) seen.push(...(await Promise.all(Array.from({ length: 5 }, one))));
    return seen;
  };

export async function manyAtOnce(user: User): Promise<Seen[]> {
  const client = await connect(user);
  const calls = Array.from({ length: 100 }, () => client.call('read', { ms: 50 }, 'read'));
  return [...(await Promise.all(calls)), ...(await afterwards(client, user.era))];
}

/** Above `limits.bodyBytes`: the user gets an error that says so. */
export async function largeArgument(user: User): Promise<Seen[]> {
  const client = await connect(user);
  const seen = await client.call('read', { fill: 'x'.repeat(5 * MIB) });
  const told = /^failed: .*4194304/s.test(seen) ? 'ok' : seen;
  return [told, ...(await afterwards(client, user.era))];
}

async function throughProxy(
  user: User,
  use: (proxy: FaultProxy) => Promise<Seen[]>,
): Promise<Seen[]> {
  const proxy = await createFaultProxy({ port: user.port });
  try {
    return await use(proxy);
  } finally {
    await proxy.close();
  }
}

/** Resolves when no connection has been made for so long: every stream of the client is back, and stays. */
async function calm(proxy: FaultProxy, healthyMs: number): Promise<void> {
  let { accepted } = proxy;
  for (let since = performance.now(); performance.now() - since < healthyMs; await pause(50)) {
    if (proxy.accepted === accepted) continue;
    ({ accepted } = proxy);
    since = performance.now();
  }
}

/**
 * Breaks every connection, ten times, each time when the client has come back. A client that stays away is left alone.
 */
async function cut(proxy: FaultProxy, healthyMs = HEALTHY_MS): Promise<void> {
  await pause(RUNNING_MS);
  for (let n = 0; n < CUTS; n++) {
    const { accepted } = proxy;
    proxy.cutAll();
    const isBack = until(() => proxy.accepted > accepted, { timeoutMs: BACK_MS });
    if (!(await isBack.catch(() => false))) return;
    await calm(proxy, healthyMs);
  }
}

export const idleCut = (user: User): Promise<Seen[]> =>
  throughProxy(user, async (proxy) => {
    const client = await connect(user, proxy.port);
    await cut(proxy, IDLE_HEALTHY_MS);
    return afterwards(client, user.era);
  });

/** The call takes longer than the cuts of a client that comes back after `retry`. */
export const callCut = (user: User): Promise<Seen[]> =>
  throughProxy(user, async (proxy) => {
    const client = await connect(user, proxy.port);
    const call = client.call('read', { ms: CALL_MS }, 'read', CALL_MS + 25_000);
    await cut(proxy);
    return [await call, ...(await afterwards(client, user.era))];
  });

/** The connection is cut when half of the answer has passed. */
export const answerCut = (user: User): Promise<Seen[]> =>
  throughProxy(user, async (proxy) => {
    const client = await connect(user, proxy.port);
    const call = client.call('large', { ms: RUNNING_MS + 1_000, bytes: 2 * MIB }, 2 * MIB);
    await pause(RUNNING_MS);
    proxy.cutAfter(MIB);
    const { accepted } = proxy;
    await Promise.race([
      call,
      until(() => proxy.accepted > accepted, { timeoutMs: BACK_MS }).catch(() => false),
    ]);
    proxy.heal();
    return [await call, ...(await afterwards(client, user.era))];
  });
