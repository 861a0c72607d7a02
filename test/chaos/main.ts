/**
 * Real processes, real stores, real clients, and everything that can befall them. Prints what happened, and exits 1 when
 * something did that must not.
 *
 *     npm run chaos -- [--store sqlite,redis,postgres|all] [--scenario faults,outage,failover,rolling|all]
 *
 *     --seed N          the order of faults and the clients' choices follow from it (1)
 *     --kills N         SIGKILLs of the scenario faults (100); drains, store restarts and the rest follow from it
 *     --stops N         SIGSTOPs past the lease (30)
 *     --servers KIND    factory: a server for each session; definition: one for all (factory)
 *     --logs FOLDER     keep what the instances log there, with debug lines, the effects file, and what happened when
 */
import { mkdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { STORES, type StoreKind } from './backing-store.ts';
import { runFailOver, runFaults, runOutage, runRolling } from './scenarios.ts';
import { type Report, SERVERS } from './stage.ts';

const SCENARIOS = ['faults', 'outage', 'failover', 'rolling'] as const;
type Scenario = (typeof SCENARIOS)[number];

const { values } = parseArgs({
  options: {
    store: { type: 'string', default: 'sqlite' },
    scenario: { type: 'string', default: 'all' },
    seed: { type: 'string', default: '1' },
    kills: { type: 'string', default: '100' },
    stops: { type: 'string', default: '30' },
    servers: { type: 'string', default: 'factory' },
    logs: { type: 'string' },
  },
});

/** Faults wait for many leases, and are sooner done with short ones. */
const FAULTS_LEASE_MS = 1_000;
const LEASE_MS = 3_000;
/** Each in every way; all are shorter than `maxWaitMs`. */
const AWAY_MS = [300, 3_000, 10_000];

/** Texts of a run that goes wrong are many; the first tell enough. */
const SHOWN = 100;

function listed<T extends string>(name: string, value: string, all: readonly T[]): T[] {
  if (value === 'all') return [...all];
  return value.split(',').map((given) => {
    const found = all.find((known) => known === given);
    if (found === undefined) throw new Error(`--${name} takes ${all.join(', ')}, got ${given}`);
    return found;
  });
}

function play(kind: StoreKind, scenario: Scenario): Promise<Report> | undefined {
  const [seed, kills, stops] = [Number(values.seed), Number(values.kills), Number(values.stops)];
  const [servers = 'factory'] = listed('servers', values.servers, SERVERS);
  const leaseMs = scenario === 'faults' ? FAULTS_LEASE_MS : LEASE_MS;
  const options = { kind, seed, servers, leaseMs, size: 1, logs: values.logs };
  switch (scenario) {
    case 'faults':
      return runFaults({ ...options, kills, stops });
    case 'outage':
      return runOutage({ ...options, awayMs: AWAY_MS });
    case 'failover':
      return kind === 'sqlite' ? undefined : runFailOver(options, kind);
    case 'rolling':
      return runRolling(options);
  }
}

async function main(): Promise<number> {
  if (values.logs !== undefined) mkdirSync(values.logs, { recursive: true });
  let failed = 0;
  for (const kind of listed('store', values.store, STORES))
    for (const scenario of listed('scenario', values.scenario, SCENARIOS)) {
      try {
        const report = await play(kind, scenario);
        if (report === undefined) continue;
        const { found, ...counts } = report;
        console.log(scenario, counts, `${found.length} violations`);
        for (const what of found.slice(0, SHOWN)) console.log(`✗ ${what}`);
        if (found.length > 0) failed += 1;
      } catch (error) {
        failed += 1;
        console.error(`${scenario} on ${kind} broke off:`, error);
      }
    }
  return failed > 0 ? 1 : 0;
}

// Its children end with it, also when it gets a signal to stop.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => process.exit(1));

// What is still open then are connections and timers of clients that were told to stop.
process.exit(await main());
