/**
 * Two instances behind the recipes, one of which is killed again and again while official clients call. What clients see:
 * no broken connection but for requests without a session, no call that ran twice, no head of an answer without an event
 * to resume from, no call that waits for its time limit. `SOJOURN_KILLS=40 SOJOURN_MATRIX=1 npx vitest run
 * test/pages/deploy/kills.test.ts -t slow` kills as often on each slow store.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFailed, onTestFinished, test } from 'vitest';
import { inMatrix, isMatrix } from '../../kit/matrix.ts';
import {
  type ConnectOptions,
  openV1,
  openV2,
  type OfficialClient,
} from '../../kit/official-client.ts';
import { createFaultProxy } from '../../kit/fault-proxy.ts';
import { describeWhereInstalled, type ServerKind, startServer } from '../../kit/servers/index.ts';
import { temporaryFolder } from '../../kit/temporary.ts';
import { until } from '../../kit/until.ts';
import {
  describeBehindHaproxy,
  describeBehindNginx,
  ROUND_ROBIN,
  startHaproxy,
  startNginx,
} from './nginx.ts';
import { startFleet } from './instances.ts';

const KILLS = Number(process.env['SOJOURN_KILLS'] ?? (isMatrix ? 100 : 4));
const CLIENTS = 14;
/**
 * A stream that broke is asked for again after `retryMs`, which is 4 s; a slow store is asked several times for each
 * session that continues. `npm test` runs other files at the same time.
 */
const longestMs = (storeMs: number): number => (isMatrix && storeMs === 0 ? 4_200 : 15_000);
/** What the SDKs have: a stream is asked for twice. */
const reconnection = {
  initialReconnectionDelay: 1_000,
  maxReconnectionDelay: 30_000,
  reconnectionDelayGrowFactor: 1.5,
  maxRetries: 2,
};

/** Watches the answers to POSTs. */
class Wire {
  /** With status 200, and neither a whole event nor a whole JSON body. */
  headsAlone = 0;

  readonly fetch: typeof fetch = async (input, init) => {
    const response = await fetch(input, init);
    if (init?.method === 'POST' && response.status === 200) void this.#read(response.clone());
    return response;
  };

  async #read({ headers, body }: Response): Promise<void> {
    let text = '';
    let isWhole = true;
    try {
      for await (const part of body ?? [])
        text += Buffer.from(part as Uint8Array).toString('latin1');
    } catch {
      isWhole = false;
    }
    const isStream = headers.get('content-type') === 'text/event-stream';
    if (isStream ? !/^(id|data): ?\S.*\n[^]*?\n\n/m.test(text) : !isWhole) this.headsAlone += 1;
  }
}

/** What a client did. */
interface Told {
  readonly client: string;
  readonly call: string;
  readonly nonce: string;
  readonly ms: number;
  /** `undefined`: a result. */
  readonly failed?: string;
}

const failureOf = (error: Error & { data?: { reason?: string; mayHaveRun?: boolean } }): string =>
  error.data?.reason === undefined
    ? `${error.name}: ${error.message} ${String(error.cause ?? '')}`.trim()
    : `${error.data.reason} ${String(error.data.mayHaveRun)}`;

/** For the pages. */
function figures(proxied: string, told: readonly Told[], twice: number, longest: number): string {
  const counts = new Map<string, number>();
  for (const { client, call, failed } of told) {
    if (failed === undefined) continue;
    const what = `${client.startsWith('s') ? 'of a session' : 'without a session'}, ${call}: ${failed}`;
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  const failures = [...counts].map(([what, count]) => `${count} × ${what}`).join('; ');
  return `${proxied}: ${KILLS} kills, ${told.length} calls, ${twice} twice, longest ${longest.toFixed(0)} ms. ${failures}`;
}

/** Calls until it is stopped. Of a session: with and without a hint; without a session also lists. */
function keepsCalling(
  name: string,
  { client, say }: OfficialClient,
  hasSession: boolean,
  told: Told[],
) {
  let isOver = false;
  const tried = async (
    call: string,
    nonce: string,
    work: () => Promise<unknown>,
  ): Promise<void> => {
    const began = performance.now();
    const failed = await work().then(
      (answer) =>
        answer === nonce || answer === true ? undefined : `the answer ${String(answer)}`,
      failureOf,
    );
    told.push({
      client: name,
      call,
      nonce,
      ms: performance.now() - began,
      ...(failed !== undefined && { failed }),
    });
  };
  const done = (async () => {
    for (let n = 0; !isOver; n++) {
      const nonce = `${name}.${n}`;
      const call = n % 3 === 0 ? 'repeatable' : 'effect';
      await tried(call, nonce, () => say(call, { nonce, ms: (n * 7) % 40 }));
      if (!hasSession)
        await tried('list', nonce, async () => (await client.listTools()).tools.length > 0);
      await new Promise((next) => setTimeout(next, (n * 13) % 50));
    }
  })();
  const stop = (): Promise<void> => {
    isOver = true;
    return done;
  };
  onTestFinished(stop);
  return stop;
}

/** Two instances on a store whose round trips take so long. */
async function startInstances(kind: ServerKind, storeMs: number, runs: string) {
  const server = await startServer(kind);
  onTestFinished(() => server.close());
  const link = await createFaultProxy({ port: server.port });
  onTestFinished(() => link.close());
  const env = { RUNS: runs, SOJOURN_ATTEMPT_HEADER: 'X-Request-Id' };
  const fleet = await startFleet(2, server.url.replace(`:${server.port}`, `:${link.port}`), () => ({
    env,
  }));
  onTestFinished(() => fleet.close());
  link.delay(storeMs / 2);
  return fleet;
}

async function connect(
  url: string,
  n: number,
  hasSession: boolean,
  wire: Wire,
): Promise<OfficialClient> {
  const options: ConnectOptions = { fetch: wire.fetch, reconnection };
  const client = await (n % 2 === 0 && hasSession
    ? openV1(url, options)
    : openV2(url, options, 'http', hasSession ? 'legacy' : 'auto'));
  onTestFinished(client.close);
  await client.client.listTools();
  expect(client.sessionId !== undefined).toBe(hasSession);
  return client;
}

const behindNginx = [
  'nginx',
  describeBehindNginx,
  (ports: readonly number[]) => startNginx(ROUND_ROBIN, ports),
] as const;
const behindHaproxy = ['HAProxy', describeBehindHaproxy, startHaproxy] as const;

for (const [[proxied, behind, start], kind, storeMs] of inMatrix(
  [
    [behindNginx, 'redis', 0],
    [behindHaproxy, 'redis', 0],
    [behindNginx, 'redis', 50],
    [behindNginx, 'postgres', 50],
  ] as const,
  [[behindNginx, 'redis', 0]] as const,
))
  behind(`kills behind ${proxied}`, () => {
    const speed = storeMs === 0 ? '' : `slow `;
    describeWhereInstalled(kind, `of instances on ${speed}${kind}`, () => {
      test(
        'show no client a broken connection, but for requests without a session, and no call hangs or runs twice',
        { timeout: 60_000 + KILLS * 12_000 },
        async () => {
          const runs = join(temporaryFolder(), 'runs');
          writeFileSync(runs, '');
          const fleet = await startInstances(kind, storeMs, runs);
          const proxy = await start(fleet.ports);
          onTestFinished(() => proxy.close());
          onTestFailed(() => console.log(proxy.output()));
          const wire = new Wire();
          const told: Told[] = [];
          const stops: Array<() => Promise<void>> = [];
          for (let n = 0; n < CLIENTS; n++) {
            const hasSession = n < 12;
            const client = await connect(proxy.url, n, hasSession, wire);
            stops.push(keepsCalling(`${hasSession ? 's' : 'm'}${n}`, client, hasSession, told));
          }
          for (let kill = 0; kill < KILLS; kill++) {
            const victim = fleet.instances[kill % 2];
            // A call that one kill has hit is over before the next: a proxy tries it twice.
            const before = told.length;
            const answered = (): Set<string> =>
              new Set(told.slice(before).map(({ client }) => client));
            await until(() => answered().size === CLIENTS, {
              timeoutMs: 90_000,
              what: 'an answer for each client',
            });
            await new Promise((next) => setTimeout(next, (kill * 37) % 120));
            await victim?.kill();
            await victim?.start();
          }
          await Promise.all(stops.map((stop) => stop()));
          const failed = told.filter(({ failed: why }) => why !== undefined);
          const lines = readFileSync(runs, 'utf8')
            .split('\n')
            .filter((line) => line.startsWith('effect '));
          const twice = lines.filter((line, n) => lines.indexOf(line) !== n);
          const longest = Math.max(...told.map(({ ms }) => ms));
          if (isMatrix)
            console.log(figures(`${proxied}, ${speed}${kind}`, told, twice.length, longest));
          const unexpected = failed.filter(
            ({ client, call, failed: why }) =>
              !(call === 'effect' && why === 'owner_lost true') &&
              !(client.startsWith('m') && call !== 'list'),
          );
          expect(unexpected).toEqual([]);
          expect(wire.headsAlone).toBe(0);
          expect(twice).toEqual([]);
          expect(longest).toBeLessThanOrEqual(longestMs(storeMs));
        },
      );
    });
  });
