/**
 * Three servers, three replicas of everything: one may be killed at any moment, the leader too.
 * `SOJOURN_KILLS=20 npx vitest run test/stores/nats-cluster.test.ts` kills more and says how long writes stood still.
 */
import { connect } from '@nats-io/transport-node';
import { jetstreamManager, type JetStreamManager, type StreamInfo } from '@nats-io/jetstream';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { nats } from '../../src/stores/nats/index.ts';
import type { InstanceLease, StoredRecord, Store } from '../../src/stores/store.ts';
import type { StoreCase } from '../../src/testing/index.ts';
import type { View } from '../../src/testing/view.ts';
import { isEnded } from '../../src/stores/store.ts';
import { describeWhereInstalled, freePort, startServer, type TestServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { casesFor, contractTests, LONG_MS, natsPrefix, patientTime } from './contract.ts';
import { Routes } from './nats-routes.ts';
import { FENCE, ME, newPrefix, openView, OTHER, recordOf, storeOptions } from './nats-views.ts';
import { openPlain } from './views.ts';

const SERVERS = 3;
const KILLS = Number(process.env['SOJOURN_KILLS'] ?? 1);
const WRITES = 40;
/** Of what only happens when messages come at the same moment. */
const RACES = 40;

let servers: readonly TestServer[] = [];
const urls = (): string[] => servers.map(({ url }) => url);

async function startCluster(): Promise<void> {
  const ports = await Promise.all(Array.from({ length: SERVERS }, () => freePort()));
  const routes = ports.map((port) => `nats-route://127.0.0.1:${port}`).join(',');
  servers = await Promise.all(
    ports.map((port, n) => {
      const cluster = ['--cluster_name', 'tests', '--cluster', `nats://127.0.0.1:${port}`, '--routes', routes];
      return startServer('nats', { args: ['--name', `s${n}`, '--no_advertise', ...cluster] });
    }),
  );
  // They have to find each other first.
  await elect();
}

/** Makes the streams. Each elects a leader before it takes messages. */
async function elect(prefix?: string): Promise<void> {
  const store = nats(urls(), { replicas: SERVERS, ...(prefix !== undefined && { prefix }) });
  const view = await until(() => openPlain(store, storeOptions()), { timeoutMs: 60_000 });
  const id = 'first';
  const write = async (): Promise<boolean> => {
    await view.records.create(recordOf(id), LONG_MS);
    await view.records.append({ id, fence: FENCE, stream: 'p', from: 0, events: ['1'] });
    return true;
  };
  await until(write, { timeoutMs: 60_000 });
  await view.records.end(id, FENCE, 'deleted', 0);
  await view.close();
}

describeWhereInstalled('nats', 'the NATS store on a cluster', () => {
  beforeAll(startCluster, 90_000);
  afterAll(async () => {
    for (const server of servers) await server.close();
  });

  /** Each on a connection to another server. */
  const openEach = (prefix = newPrefix()): Promise<View[]> =>
    Promise.all(
      // On a busy machine making the streams takes a cluster longer than an answer may; an endpoint tries again too.
      urls().map((url) => until(() => openView(nats(url, { prefix, replicas: SERVERS })), { timeoutMs: 20_000 })),
    );

  describe('keeps the contract,', () => {
    const applies = casesFor();
    let opened = 0;
    let routes: Routes;
    beforeAll(async () => {
      routes = await Routes.open(urls());
      for (const prefix of new Set(applies.map(natsPrefix))) await elect(prefix);
    }, LONG_MS);
    afterAll(() => routes.close());

    const store = (one: StoreCase): Store => {
      const server = opened++ % SERVERS;
      return routes.store(nats(urls()[server] ?? '', { replicas: SERVERS, prefix: natsPrefix(one) }), server);
    };
    // Servers that stall for seconds elect leaders, and then what was asked has no answer.
    const saysNothing = (error: unknown): boolean => (error as { readonly code?: unknown }).code === 'STORE_AWAY';
    // Each write waits for two of three servers, and on a busy machine much longer than on one server.
    const under = (one: StoreCase) => ({
      connect: () => store(one),
      time: patientTime,
      pass: (ms: number) => sleep(ms),
    });
    contractTests(applies, under, { concurrent: true, saysNothing });
  });

  test('lets one of several burials and renewals at the same moment through', async () => {
    const views = await openEach();
    const [first] = views as [View];
    for (let n = 0; n < RACES; n++) {
      const id = `i${n}`;
      await first.instances.announce({ id, state: 'serving', version: '1' }, () => undefined);
      await first.instances.renew(id, 'serving');
      const lease = (await first.instances.read(id)) as InstanceLease;
      const [renewed, ...buried] = await Promise.all([
        first.instances.renew(id, 'serving'),
        ...views.map((view) => view.instances.bury(lease)),
      ]);
      expect([renewed, ...buried].filter(Boolean), id).toEqual([true]);
      for (const view of views) expect((await view.instances.read(id)) !== undefined, id).toBe(renewed);
    }
  });

  test('lets a save of the owner or the end of its session through, and loses neither', async () => {
    const views = await openEach();
    const [first, second, third] = views as [View, View, View];
    for (let n = 0; n < RACES; n++) {
      const id = `s${n}`;
      await first.records.create(recordOf(id));
      await first.records.save(id, FENCE, { stamp: 1 });
      // Which server is the fastest is chance: each of the three has its lead, of none to a few milliseconds.
      const lead = (of: number): Promise<void> => sleep(n % 3 === of ? 0 : n % 4);
      const [saved, claimed, ended] = await Promise.all([
        lead(0).then(() => first.records.save(id, FENCE, { fields: { kept: '1' } })),
        lead(1).then(() => second.records.claim(id, FENCE, OTHER)),
        lead(2).then(() => third.records.end(id, FENCE, 'deleted')),
      ]);
      const all = await Promise.all(views.map(async (view) => view.records.read(id)));
      for (const value of all) expect(value, id).toEqual(all[0]);
      const value = all[0] as StoredRecord;
      expect(isEnded(value), id).toBe(ended === 'ended');
      if (isEnded(value)) continue;
      expect(value.fields, id).toEqual(saved === 'written' ? { kept: '1' } : {});
      expect([value.epoch, value.owner], id).toEqual(claimed.claimed ? [2, OTHER] : [1, ME]);
    }
  });

  test('lets one of two writers of a log through, and its next writes follow', async () => {
    const views = await openEach();
    const [first] = views as [View];
    for (let n = 0; n < RACES; n++) {
      const id = `s${n}`;
      await first.records.create(recordOf(id));
      const append = (view: View, from: number, text: string) =>
        view.records.append({ id: id, fence: FENCE, stream: 'p', from, events: [JSON.stringify(text)] });
      await append(first, 0, 'first');
      // Each has read the log, and takes itself for the next owner.
      for (const view of views) expect(await append(view, 3, 'elsewhere')).toBe('fenced');
      const outcomes = await Promise.all(views.map(async (view, v) => append(view, 1, `view ${v}`)));
      expect(
        outcomes.filter((outcome) => outcome === 'written'),
        id,
      ).toEqual(['written']);
      expect(await append(first, 2, 'last')).toBe('written');
      const winner = JSON.stringify(`view ${outcomes.indexOf('written')}`);
      for (const view of views) {
        const kept = await view.records.replay(id, 'p', -1);
        expect(kept.found && kept.events.map(({ data }) => data), id).toEqual(['"first"', winner, '"last"']);
      }
    }
  });

  test(
    'keeps what was acknowledged, and continues by itself, when the server that leads is killed',
    async () => {
      const open = () => openView(nats(urls(), { replicas: SERVERS }));
      const [view, other] = [await open(), await open()];
      await view.records.create(recordOf('s', { fields: {} }));
      let [state, events, epoch, fence] = [0, 0, 1, FENCE];
      for (let kill = 0; kill < KILLS; kill++) {
        const writing = { stop: false };
        const writer = (async () => {
          for (let n = 0; !writing.stop || n < WRITES; n++) {
            const next = String(state + 1);
            await until(async () => (await view.records.save('s', fence, { fields: { n: next } })) === 'written', {
              timeoutMs: 30_000,
            });
            state += 1;
            // What had no answer may be stored: then the place is taken.
            await until(
              async () => {
                const data = [JSON.stringify(events)];
                const append = { id: 's', fence, stream: 'p', from: events, events: data };
                if ((await view.records.append(append)) === 'written') return true;
                const kept = await view.records.replay('s', 'p', events - 1);
                return kept.found && kept.events[0]?.data === data[0];
              },
              { timeoutMs: 30_000 },
            );
            events += 1;
          }
        })();
        await until(() => events >= (kill + 1) * 10, { timeoutMs: 30_000 });
        const leader = await leaderOf(urls());
        const victim = servers[Number(leader.slice(1))] as TestServer;
        await victim.killed();
        const [at, since] = [events, performance.now()];
        await until(() => events > at + 1, { timeoutMs: 30_000 });
        if (process.env['SOJOURN_KILLS'] !== undefined)
          console.log(`the leader killed: writes again after ${Math.round(performance.now() - since)} ms`);
        writing.stop = true;
        await writer;
        await victim.start();
        await caughtUp(urls());
        expect(((await until(() => other.records.read('s'), { timeoutMs: 30_000 })) as StoredRecord).fields).toEqual({
          n: String(state),
        });
        const kept = await until(() => other.records.replay('s', 'p', -1), { timeoutMs: 30_000 });
        expect(kept.found && kept.events.map(({ data }) => data)).toEqual(
          Array.from({ length: events }, (_, n) => JSON.stringify(n)),
        );
        const claim = await until(() => other.records.claim('s', fence, OTHER), { timeoutMs: 30_000 });
        expect(claim.claimed).toBe(true);
        epoch += 1;
        // Back to the first view, which is fenced until it claims.
        expect(await until(() => view.records.save('s', fence, {}), { timeoutMs: 30_000 })).toBe('fenced');
        expect(
          (await until(() => view.records.claim('s', { epoch, owner: OTHER }, FENCE.owner), { timeoutMs: 30_000 }))
            .claimed,
        ).toBe(true);
        epoch += 1;
        fence = { ...FENCE, epoch };
      }
    },
    60_000 + KILLS * 60_000,
  );
});

async function withManager<T>(servers: string[], look: (manager: JetStreamManager) => Promise<T>): Promise<T> {
  const connection = await connect({ servers });
  try {
    return await look(await until(() => jetstreamManager(connection), { timeoutMs: 60_000 }));
  } finally {
    await connection.close();
  }
}

/** The name of the server that leads the log. */
function leaderOf(servers: string[]): Promise<string> {
  return withManager(servers, async (manager) => {
    const leader = await until(async () => (await manager.streams.info('sojourn_log')).cluster?.leader, {
      timeoutMs: 30_000,
    });
    return leader ?? '';
  });
}

/** A second server that is killed before the first has caught up leaves no majority. */
async function caughtUp(servers: string[]): Promise<void> {
  const isWhole = ({ cluster }: StreamInfo): boolean =>
    cluster?.leader !== undefined &&
    cluster.replicas?.every(({ current, offline }) => current && offline !== true) === true;
  await withManager(servers, (manager) =>
    until(async () => (await manager.streams.list().next()).every(isWhole), { timeoutMs: 60_000 }),
  );
}
