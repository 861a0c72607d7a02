/**
 * `npm run chaos -- --store sqlite`: real processes, real stores, real clients, and everything that can befall them. Prints
 * what happened, exits 1 when something did that must not, and writes `docs/reliability.md` after a full run.
 */
import { mkdirSync } from 'node:fs';
import { parseArguments, usage } from './arguments.ts';
import { failuresOf } from './report.ts';
import { printReport } from './printout.ts';
import { runFaults } from './scenarios/faults.ts';
import { runOutage } from './scenarios/outage.ts';
import { runPatience } from './scenarios/patience.ts';
import { runRolling } from './scenarios/rolling.ts';
import type { AnyReport } from './report.ts';
import { keepReports, writeDocument } from './document.ts';

async function main(argv: readonly string[]): Promise<number> {
  const args = parseArguments(argv);
  if (args.help) {
    console.log(usage);
    return 0;
  }
  const { seed, leaseMs, size, kills, stops, awayMs, rounds, json, logs, languages } = args;
  const progress = (text: string): void => {
    if (process.stderr.isTTY) process.stderr.write(`\r\u001B[K${text}`);
  };
  if (logs !== undefined) mkdirSync(logs, { recursive: true });
  const reports: AnyReport[] = [];
  for (const kind of args.stores) {
    for (const scenario of args.scenarios) {
      const common = { kind, seed, leaseMs: leaseMs[scenario], size, logs, languages, progress };
      const report =
        scenario === 'faults'
          ? await runFaults({ ...common, kills, stops })
          : scenario === 'outage'
            ? await runOutage({ ...common, awayMs })
            : scenario === 'rolling'
              ? await runRolling({ ...common, rounds })
              : await runPatience(common);
      progress('');
      reports.push(report);
      if (!json) console.log(`${printReport(report)}\n`);
      if (args.write) {
        // Each as it comes: what a run has shown stands though it is ended.
        keepReports([report]);
        writeDocument();
      }
    }
  }
  if (json) console.log(JSON.stringify(reports, undefined, 2));
  return reports.some((report) => failuresOf(report).length > 0) ? 1 : 0;
}

// Its children end with it, also when it is told to stop.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));

// What is still open then are connections and timers of clients that were told to stop.
process.exit(await main(process.argv.slice(2)));
