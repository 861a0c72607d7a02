/**
 * `npm run chaos -- --store sqlite`: real processes, real stores, real clients, and everything that can befall them.
 * Prints what happened, and exits 1 when something did that must not.
 */
import { mkdirSync } from 'node:fs';
import { type ChaosArguments, parseArguments, type Scenario, usage } from './arguments.ts';
import type { StoreKind } from './backing-store.ts';
import { printed, type Report } from './report.ts';
import { runFaults } from './scenarios/faults.ts';
import { runFailOver, runOutage } from './scenarios/outage.ts';
import { runRolling } from './scenarios/rolling.ts';

/** Faults wait for many leases, and are sooner done with short ones. */
const FAULTS_LEASE_MS = 1_000;
const LEASE_MS = 3_000;
/** Each in every way; all are shorter than `waitMs`. */
const AWAY_MS = [300, 3_000, 10_000];

function play(kind: StoreKind, scenario: Scenario, args: ChaosArguments): Promise<Report> | undefined {
  const leaseMs = scenario === 'faults' ? FAULTS_LEASE_MS : LEASE_MS;
  const options = { ...args, kind, leaseMs, size: 1 };
  switch (scenario) {
    case 'faults':
      return runFaults(options);
    case 'outage':
      return runOutage({ ...options, awayMs: AWAY_MS });
    case 'failover':
      return kind === 'sqlite' ? undefined : runFailOver(options, kind);
    case 'rolling':
      return runRolling({ ...options, rounds: 10 });
  }
}

async function main(argv: readonly string[]): Promise<number> {
  const args = parseArguments(argv);
  if (args.help) {
    console.log(usage);
    return 0;
  }
  if (args.logs !== undefined) mkdirSync(args.logs, { recursive: true });
  let failed = 0;
  for (const kind of args.stores)
    for (const scenario of args.scenarios) {
      try {
        const report = await play(kind, scenario, args);
        if (report === undefined) continue;
        console.log(`${printed(report)}\n`);
        if (report.found.length > 0) failed += 1;
      } catch (error) {
        failed += 1;
        console.error(`${scenario} on ${kind} broke off:`, error);
      }
    }
  return failed > 0 ? 1 : 0;
}

// Its children end with it, also when it gets a signal to stop.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));

// What is still open then are connections and timers of clients that were told to stop.
process.exit(await main(process.argv.slice(2)));
