/**
 * `npm run chaos -- --store sqlite`: real processes, real stores, real clients, and everything that can befall them.
 * Prints what happened, and exits 1 when something did that must not.
 */
import { mkdirSync } from 'node:fs';
import { parseArguments, type Scenario, usage } from './arguments.ts';
import type { StoreKind } from './backing-store.ts';
import { now } from './history.ts';
import { failuresOf } from './report.ts';
import { printReport } from './printout.ts';
import { runFaults } from './scenarios/faults.ts';
import { runOutage } from './scenarios/outage.ts';
import { paceOf, runOthers, runPatience } from './scenarios/patience.ts';
import { runRolling } from './scenarios/rolling.ts';
import type { AnyReport } from './report.ts';

const OUTAGE_MS = 10_000;

async function main(argv: readonly string[]): Promise<number> {
  const args = parseArguments(argv);
  if (args.help) {
    console.log(usage);
    return 0;
  }
  const { seed, leaseMs, size, kills, stops, awayMs, rounds, json, logs, languages, servers } = args;
  const progress = (text: string): void => {
    if (process.stderr.isTTY) process.stderr.write(`\r\u001B[K${text}`);
  };
  if (logs !== undefined) mkdirSync(logs, { recursive: true });
  const reports: AnyReport[] = [];
  const began = now();
  const done = (report: AnyReport): void => {
    progress('');
    reports.push(report);
    if (!json) console.log(`${printReport(report)}\n`);
  };
  let broke = 0;
  /** Prints a run that breaks; the others continue. */
  const run = async (kind: StoreKind, scenario: Scenario, report: Promise<AnyReport>): Promise<void> => {
    try {
      done(await report);
    } catch (error) {
      broke += 1;
      console.error(`${scenario} on ${kind} broke off:`, error);
    }
  };
  for (const kind of args.stores) {
    for (const scenario of args.scenarios) {
      const common = { kind, seed, leaseMs: leaseMs[scenario], size, logs, languages, servers, progress };
      if (scenario === 'patience' && languages.length === 0) {
        for (const pace of args.paces) await run(kind, scenario, runPatience({ ...common, pace: paceOf(pace) }));
        continue;
      }
      await run(
        kind,
        scenario,
        scenario === 'faults'
          ? runFaults({ ...common, kills, stops })
          : scenario === 'outage'
            ? runOutage({ ...common, awayMs: awayMs ?? OUTAGE_MS })
            : scenario === 'rolling'
              ? runRolling({ ...common, rounds })
              : runOthers({ ...common, languages, pace: paceOf('steady') }),
      );
    }
  }
  if (!json) console.log(`All of it took ${((now() - began) / 60_000).toFixed(1)} min.`);
  if (json) console.log(JSON.stringify(reports, undefined, 2));
  return broke > 0 || reports.some((report) => failuresOf(report).length > 0) ? 1 : 0;
}

// Its children end with it, also when it gets a signal to stop.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));

// What is still open then are connections and timers of clients that were told to stop.
process.exit(await main(process.argv.slice(2)));
