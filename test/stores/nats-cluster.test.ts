/**
 * Three servers, three replicas of everything: one may be killed at any moment, the leader too.
 * `SOJOURN_KILLS=20 npx vitest run test/stores/nats-cluster.test.ts` kills more and says how long writes stood still.
 */
import { connect } from '@nats-io/transport-node';
import { jetstreamManager, type JetStreamManager, type StreamInfo } from '@nats-io/jetstream';
import { expect, onTestFinished, test } from 'vitest';
import { nats } from '../../src/stores/nats/index.ts';
import type { SessionRecord } from '../../src/stores/store.ts';
import { describeWhereInstalled, freePort, startServer, type TestServer } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { FENCE, openView, OTHER, recordOf, storeOptions } from './nats-views.ts';

const SERVERS = 3;
const KILLS = Number(process.env['SOJOURN_KILLS'] ?? 1);
const WRITES = 40;

async function startCluster(): Promise<readonly TestServer[]> {
  const ports = await Promise.all(Array.from({ length: SERVERS }, () => freePort()));
  const routes = ports.map((port) => `nats-route://127.0.0.1:${port}`).join(',');
  const servers = await Promise.all(
    ports.map(async (port, n) => {
      const cluster = ['--cluster_name', 'tests', '--cluster', `nats://127.0.0.1:${port}`, '--routes', routes];
      const server = await startServer('nats', { args: ['--name', `s${n}`, '--no_advertise', ...cluster] });
      onTestFinished(() => server.close());
      return server;
    }),
  );
  return servers;
}

describeWhereInstalled('nats', 'the NATS store on a cluster', () => {
  test(
    'keeps what was acknowledged, and goes on by itself, when the server that leads is killed',
    async () => {
      const servers = await startCluster();
      const urls = servers.map(({ url }) => url);
      const open = () => nats(urls, { replicas: SERVERS }).open(storeOptions());
      // The servers have to find each other first.
      const view = await until(open, { timeoutMs: 60_000 });
      onTestFinished(() => view.close());
      const other = await openView(nats(urls, { replicas: SERVERS }));
      await view.sessions.create(recordOf('s', { state: {} }));
      let [state, events, epoch, fence] = [0, 0, 1, FENCE];
      for (let kill = 0; kill < KILLS; kill++) {
        const writing = { stop: false };
        const writer = (async () => {
          for (let n = 0; !writing.stop || n < WRITES; n++) {
            const next = String(state + 1);
            await until(async () => (await view.sessions.save('s', fence, { state: { n: next } })) === 'written', {
              timeoutMs: 30_000,
            });
            state += 1;
            // What had no answer may be stored: then the place is taken.
            await until(
              async () => {
                const data = [JSON.stringify(events)];
                const append = { sessionId: 's', fence, stream: 'p', from: events, events: data };
                if ((await view.events.append(append)) === 'written') return true;
                const kept = await view.events.replay('s', 'p', events - 1);
                return kept.found && kept.events[0]?.data === data[0];
              },
              { timeoutMs: 30_000 },
            );
            events += 1;
          }
        })();
        await until(() => events >= (kill + 1) * 10, { timeoutMs: 30_000 });
        const leader = await leaderOf(urls);
        const victim = servers[Number(leader.slice(1))] as TestServer;
        await victim.killed();
        const [at, since] = [events, performance.now()];
        await until(() => events > at + 1, { timeoutMs: 30_000 });
        if (process.env['SOJOURN_KILLS'] !== undefined)
          console.log(`the leader killed: writes again after ${Math.round(performance.now() - since)} ms`);
        writing.stop = true;
        await writer;
        await victim.start();
        await caughtUp(urls);
        expect(((await until(() => other.sessions.read('s'), { timeoutMs: 30_000 })) as SessionRecord).state).toEqual({
          n: String(state),
        });
        const kept = await until(() => other.events.replay('s', 'p', -1), { timeoutMs: 30_000 });
        expect(kept.found && kept.events.map(({ data }) => data)).toEqual(
          Array.from({ length: events }, (_, n) => JSON.stringify(n)),
        );
        const claim = await until(() => other.sessions.claim('s', epoch, OTHER), { timeoutMs: 30_000 });
        expect(claim.claimed).toBe(true);
        epoch += 1;
        // Back to the first view, which is fenced until it claims.
        expect(await until(() => view.sessions.save('s', fence, {}), { timeoutMs: 30_000 })).toBe('fenced');
        expect((await until(() => view.sessions.claim('s', epoch, FENCE.owner), { timeoutMs: 30_000 })).claimed).toBe(
          true,
        );
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
