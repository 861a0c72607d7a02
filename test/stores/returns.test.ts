// @module-tag matrix
/**
 * How long a store takes to recover after its server. SOJOURN_RETURNS=10 repeats each outage 10 times and prints the
 * times.
 */
import { expect, test } from 'vitest';
import { postgres } from '../../src/stores/postgres/index.ts';
import { redis } from '../../src/stores/redis/index.ts';
import type { Store } from '../../src/stores/store.ts';
import type { View } from '../store-contract/view.ts';
import { describeWhereInstalled, type ServerKind, type TestServer } from '../kit/servers/index.ts';
import { ownServer } from './outages.ts';
import { FENCE, ME, open, recordOf, storeOptions } from './views.ts';

const MEASURED = process.env['SOJOURN_RETURNS'] !== undefined;
const ROUNDS = Number(process.env['SOJOURN_RETURNS'] ?? 3);
const OUTAGES_MS = [300, 1_000, 3_000];
const MOST_MS = 1_000;
const LOOK_MS = 5;
/** A machine without other work begins the next turn of the event loop sooner. */
const LONGEST_TURN_MS = 20;

interface Kind {
  readonly args: readonly string[];
  store(url: string): Store;
}

const KINDS: Readonly<Record<ServerKind, Kind>> = {
  redis: { args: ['--appendonly', 'yes'], store: (url) => redis(url) },
  postgres: { args: [], store: (url) => postgres(url) },
};

/** Time in which this process runs. While it must wait for a busy machine, the time of one turn passes. */
class OwnTime {
  #ms = 0;
  #last = performance.now();
  readonly #looking = setInterval(() => this.now(), LOOK_MS);

  now(): number {
    const at = performance.now();
    this.#ms += MEASURED ? at - this.#last : Math.min(LONGEST_TURN_MS, at - this.#last);
    this.#last = at;
    return this.#ms;
  }

  stop(): void {
    clearInterval(this.#looking);
  }
}

const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** Retries every few ms, as requests do. Resolves with the time of success. */
async function done(time: OwnTime, work: () => unknown): Promise<number> {
  for (;;) {
    try {
      await work();
      return time.now();
    } catch {
      await pause(LOOK_MS);
    }
  }
}

/** ms from the first answer of the server to the first write, and to the first renewal of a lease. */
async function returned(server: TestServer, view: View, outageMs: number): Promise<readonly [number, number]> {
  await server.killed();
  const time = new OwnTime();
  const writing = done(time, () => view.records.save('s', FENCE, { stamp: 1 }));
  const renewing = done(time, () => view.instances.renew(ME, 'serving'));
  await pause(outageMs);
  await server.start();
  const answers = time.now();
  const after = [(await writing) - answers, (await renewing) - answers] as const;
  time.stop();
  return after;
}

const quantile = (sorted: readonly number[], q: number): number => sorted[Math.floor((sorted.length - 1) * q)] ?? 0;

/** Prints and judges the times of one outage, repeated. */
async function repeated(kind: ServerKind, outageMs: number): Promise<void> {
  const { args, store } = KINDS[kind];
  const server = await ownServer(kind, ...args);
  const view = await open(store(server.url), storeOptions({ leaseMs: 30_000 }));
  await view.records.create(recordOf('s'));
  await view.instances.announce({ id: ME, state: 'serving', version: '1' }, () => undefined);
  const times: (readonly [number, number])[] = [];
  for (let round = 0; round < ROUNDS; round++) times.push(await returned(server, view, outageMs));
  const [writes, renewals] = [0, 1].map((n) => times.map((each) => each[n] ?? 0).sort((a, b) => a - b));
  if (MEASURED)
    for (const [what, sorted] of Object.entries({ writes: writes ?? [], renewals: renewals ?? [] }))
      console.info(
        `${kind}, away for ${outageMs} ms: first of the ${what} after ` +
          `${quantile(sorted, 0.5).toFixed(0)} ms (p50), ${quantile(sorted, 1).toFixed(0)} ms (longest)`,
      );
  expect(quantile(writes ?? [], 0.5), `writes after ${outageMs} ms`).toBeLessThan(MOST_MS);
  expect(quantile(renewals ?? [], 0.5), `renewals after ${outageMs} ms`).toBeLessThan(MOST_MS);
}

for (const kind of ['redis', 'postgres'] as const) {
  describeWhereInstalled(kind, `a ${kind} store whose server was killed`, () => {
    test('is used again soon after the server is back', { timeout: 30_000 + ROUNDS * 30_000 }, async () => {
      if (MEASURED) for (const outageMs of OUTAGES_MS) await repeated(kind, outageMs);
      // Each outage has a separate server, and they are mostly waits.
      else await Promise.all(OUTAGES_MS.map((outageMs) => repeated(kind, outageMs)));
    });
  });
}
