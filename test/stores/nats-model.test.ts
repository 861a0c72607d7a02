/**
 * Random operations on a real server whose clock is the test's: what it says of a stored message is changed on the way to the
 * store, from the time of the server to the time that the test had when the message was acknowledged.
 */
import { connect, type Msg, type NatsConnection, type PublishOptions } from '@nats-io/transport-node';
import fc from 'fast-check';
import { test } from 'vitest';
import { nats } from '../../src/stores/nats/index.ts';
import type { Fence, OpenStore, StoreOptions } from '../../src/stores/store.ts';
import { systemRandom, systemTime } from '../../src/system.ts';
import type { EventRetention } from '../../src/types.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { newPrefix, storeOptions } from './nats-views.ts';
import { PlainStore } from './plain-store.ts';
import {
  applyAll,
  applyInTurns,
  operations,
  RETENTION,
  TOMBSTONE_MS,
  type Operation,
  type World,
} from './random-operations.ts';

/** `SOJOURN_RUNS`: as many as you have time for. */
const numRuns = Number(process.env['SOJOURN_RUNS'] ?? 60);
const RETENTIONS = { small: RETENTION, large: { ...RETENTION, bytes: 4_000 } };
const BEGIN_MS = 1_767_225_600_000;

class FakeClock {
  ms = BEGIN_MS;
  /** Where answers are awaited: the clock stands still until they have come. */
  readonly asked = new Set<string>();
  /** `stream seq` → when it was acknowledged. */
  readonly #stored = new Map<string, number>();

  readonly now = (): number => this.ms;

  /** An answer of the server as the store is to see it. */
  change(data: Uint8Array): Uint8Array {
    const text = Buffer.from(data).toString();
    if (!text.startsWith('{')) return data;
    const answer = JSON.parse(text) as {
      stream?: string;
      seq?: number;
      message?: { subject: string; seq: number; time: string };
    };
    if (answer.stream !== undefined && answer.seq !== undefined)
      this.#stored.set(`${answer.stream} ${answer.seq}`, this.ms);
    const { message } = answer;
    if (message === undefined) return data;
    const at = this.#stored.get(`${this.#streamOf(message.subject)} ${message.seq}`) ?? this.ms;
    return Buffer.from(JSON.stringify({ ...answer, message: { ...message, time: new Date(at).toISOString() } }));
  }

  #streamOf(subject: string): string {
    const [first = '', second = ''] = subject.split('.');
    const streams: Record<string, string> = { log: 'log', part: 'log', place: 'places', due: 'agenda' };
    if (first === '$KV') return `KV_${second}`;
    return `${first}_${streams[second] ?? ''}`;
  }
}

/** The connection with the clock in its answers. */
function faked(connection: NatsConnection, clock: FakeClock): NatsConnection {
  return new Proxy(connection, {
    get(target, name) {
      if (name === 'publish') {
        return (subject: string, data: Uint8Array, options: PublishOptions = {}) => {
          if (options.reply !== undefined && !subject.includes('.mail.')) clock.asked.add(options.reply);
          target.publish(subject, data, options);
        };
      }
      if (name === 'subscribe') {
        return (subject: string, options: { callback(error: Error | null, message: Msg): void }) =>
          target.subscribe(subject, {
            callback: (error, { subject: to, data, headers }) => {
              clock.asked.delete(to);
              options.callback(error, { subject: to, data: clock.change(data), headers } as Msg);
            },
          });
      }
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/**
 * Two processes: an instance is in one of them, and writes through it; what is no owner's goes through either in turn.
 */
function routed(views: readonly OpenStore[]): OpenStore {
  let turn = 0;
  const next = (): OpenStore => views[turn++ % views.length] as OpenStore;
  const of = (owner: string): OpenStore => views[owner === 'i1' ? 1 : 0] as OpenStore;
  const ownerOf = (given: readonly unknown[]): string | undefined => {
    const [first, second, third] = given;
    if (typeof third === 'string') return third;
    const { fence, owner } = (first ?? {}) as { fence?: Fence; owner?: string | null };
    return owner ?? (fence ?? (second as Fence | undefined))?.owner;
  };
  const part = <K extends 'sessions' | 'events'>(name: K): OpenStore[K] =>
    new Proxy({} as OpenStore[K], {
      get:
        (_, method) =>
        (...given: unknown[]) => {
          const owner = ['create', 'claim', 'save', 'release', 'end', 'mark', 'append'].includes(String(method))
            ? ownerOf(given)
            : undefined;
          const target = (owner === undefined ? next() : of(owner))[name];
          return (target as unknown as Record<string | symbol, (...values: unknown[]) => unknown>)[method]?.(...given);
        },
    });
  const first = views[0] as OpenStore;
  return { ...first, sessions: part('sessions'), events: part('events') };
}

describeWithServer('nats', 'the NATS store answers as a plain model does', (server) => {
  async function check(
    retention: EventRetention,
    apply: (world: World, views: readonly OpenStore[], all: readonly Operation[]) => Promise<void>,
  ): Promise<void> {
    const clock = new FakeClock();
    const prefix = newPrefix();
    const connections = await Promise.all([1, 2].map(async () => connect({ servers: server().url })));
    const stores = connections.map((connection) => nats(faked(connection, clock), { prefix }));
    const time = { ...systemTime, now: clock.now, monotonic: clock.now };
    const pass = async (ms: number): Promise<void> => {
      await until(() => clock.asked.size === 0);
      clock.ms += ms;
    };
    let runs = 0;
    try {
      await fc.assert(
        fc.asyncProperty(operations, async (all) => {
          // Instances of the model die by leaving only.
          const options: StoreOptions = storeOptions({
            name: `run-${runs++}`,
            time,
            retention,
            random: systemRandom,
            tombstoneMs: TOMBSTONE_MS,
            leaseMs: 1e9,
          });
          const views = await Promise.all(stores.map(async (store) => store.open(options)));
          const model = new PlainStore({ now: clock.now, tombstoneMs: TOMBSTONE_MS, retention });
          try {
            await apply({ store: views[0] as OpenStore, model, now: clock.now, pass }, views, all);
          } finally {
            for (const view of views) await view.close();
          }
        }),
        { numRuns },
      );
    } finally {
      for (const connection of connections) await connection.close();
    }
  }

  test.each(Object.entries(RETENTIONS))(
    'to random operations over two connections, with %s logs',
    async (_, retention) => {
      await check(retention, (world, views, all) => applyAll({ ...world, store: routed(views) }, all));
    },
    240_000,
  );

  test.each([3, 40])(
    'to random writes that are asked for %i in a turn',
    async (most) => {
      await check(RETENTION, (world, _, all) => applyInTurns(world, all, most));
    },
    240_000,
  );
});
