/** Random operations on a real server whose clock is the test's. */
import { connect as connectNats } from '@nats-io/transport-node';
import { nats } from '../../src/stores/nats/index.ts';
import type { Fence, Ownership } from '../../src/stores/store.ts';
import type { View } from '../../src/testing/view.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { modelTests, type ModelStores, takingTurns } from './model-runs.ts';
import { FakeClock } from './nats-fake-clock.ts';
import { newPrefix } from './nats-views.ts';

/**
 * Two processes: an instance is in one of them, and writes through it; what is no owner's goes through either in turn.
 */
function routed(views: readonly View[]): View {
  let turn = 0;
  const next = (): View => views[turn++ % views.length] as View;
  const of = (owner: string): View => views[owner === 'i1' ? 1 : 0] as View;
  const ownerOf = (method: string, given: readonly unknown[]): string | undefined => {
    const [first, second, third] = given;
    if (method === 'claim') return third as string;
    const { fence, owner } = first as { fence?: Fence; owner?: string | null };
    return owner ?? (fence ?? (second as Ownership | null | undefined))?.owner ?? undefined;
  };
  const records = new Proxy({} as View['records'], {
    get:
      (_, method) =>
      (...given: unknown[]) => {
        const owner = ['create', 'claim', 'save', 'end', 'append'].includes(String(method))
          ? ownerOf(String(method), given)
          : undefined;
        const target = (owner === undefined ? next() : of(owner)).records;
        return (target as unknown as Record<string | symbol, (...values: unknown[]) => unknown>)[method]?.(...given);
      },
  });
  return { ...(views[0] as View), records };
}

describeWithServer('nats', 'the NATS store answers as a plain model does', (server) => {
  async function connect(): Promise<ModelStores> {
    const clock = new FakeClock();
    const prefix = newPrefix();
    const connections = await Promise.all([1, 2].map(async () => connectNats({ servers: server().url })));
    const stores = connections.map((connection) => nats(clock.shownBy(connection), { prefix }));
    const { time, pass } = clock;
    return {
      connect: takingTurns(stores),
      time,
      pass,
      async close() {
        for (const connection of connections) await connection.close();
      },
    };
  }

  modelTests(60, connect, routed);
});
