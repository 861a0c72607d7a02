/**
 * The servers of a NATS cluster hear a moment late of who listens at another one: in the order in which messages come
 * from there, so a server that has such a message knows what came before it.
 */
import { connect, type NatsConnection } from '@nats-io/transport-node';
import type { InstanceStore, Store } from '../../src/stores/store.ts';
import { until } from '../kit/until.ts';

const SUBJECT = 'test-routes';

export class Routes {
  readonly #connections: readonly NatsConnection[];
  /** The last that came to each server from each. */
  readonly #heard: readonly number[][];
  #sent = 0;

  private constructor(connections: readonly NatsConnection[]) {
    this.#connections = connections;
    this.#heard = connections.map((connection) => {
      const last = connections.map(() => 0);
      connection.subscribe(SUBJECT, {
        callback: (_, message) => {
          const { from, n } = message.json<{ from: number; n: number }>();
          last[from] = n;
        },
      });
      return last;
    });
  }

  static async open(urls: readonly string[]): Promise<Routes> {
    return new Routes(await Promise.all(urls.map((servers) => connect({ servers, noRandomize: true }))));
  }

  /** Resolves when all servers know what this one did. */
  async heard(from: number): Promise<void> {
    const connection = this.#connections[from];
    await until(
      async () => {
        // Said again: the first may come before it is known that we listen.
        const n = (this.#sent += 1);
        connection?.publish(SUBJECT, JSON.stringify({ from, n }));
        await Promise.all(this.#connections.map((each) => each.flush()));
        return this.#heard.every((last) => (last[from] ?? 0) >= n);
      },
      { timeoutMs: 20_000 },
    );
  }

  /** The store on that server; its announcements and leaves are over when all servers know of them. */
  store(store: Store, server: number): Store {
    const { kind, durable, inProcess } = store;
    const open: Store['open'] = async (options) => {
      const view = await store.open(options);
      const { instances } = view;
      const [announce, leave] = [instances.announce.bind(instances), instances.leave.bind(instances)];
      const known: Pick<InstanceStore, 'announce' | 'leave'> = {
        announce: async (...asked) => {
          await announce(...asked);
          await this.heard(server);
        },
        leave: async (...asked) => {
          await leave(...asked);
          await this.heard(server);
        },
      };
      Object.assign(instances, known);
      return view;
    };
    return { kind, durable, inProcess, open };
  }

  async close(): Promise<void> {
    await Promise.all(this.#connections.map((connection) => connection.close()));
  }
}
