/** `npm run bench -- kills`: one story of a deploy, kills and an outage, for each side of `sides.ts`. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Outcome, type Recorded, tableOf } from './outcome.ts';
import { installRivals, SIDES } from './sides.ts';
import { play } from './story.ts';

export interface KillsOptions {
  readonly only: readonly string[];
  readonly kills: number;
  readonly machine: string;
  /** Whether the raw results go into `recorded-kills.json`, and from there into the pages. */
  readonly isRecorded: boolean;
}

const RESULTS = resolve(import.meta.dirname, '../recorded-kills.json');
const PAGES = resolve(import.meta.dirname, '../../scripts/pages.mjs');

/**
 * The pages, and the picture, are made of the file. A side of an earlier run stays where that was on the same day and
 * machine, with the same settings: a rival that fails does not cost the figures of the others.
 */
function record(recorded: Recorded): void {
  const earlier = JSON.parse(readFileSync(RESULTS, 'utf8')) as Recorded;
  const isOneRun = circumstances(earlier) === circumstances(recorded);
  const all = [...recorded.outcomes, ...(isOneRun ? earlier.outcomes : [])];
  const outcomes = SIDES.flatMap(({ id }) => all.find(({ side }) => side === id) ?? []);
  const versions = { ...(isOneRun && earlier.versions), ...recorded.versions };
  writeFileSync(RESULTS, `${JSON.stringify({ ...recorded, versions, outcomes }, undefined, 2)}\n`);
}

const circumstances = ({ date, machine, settings }: Recorded): string =>
  JSON.stringify([date, machine, settings]);

export async function measureKills(options: KillsOptions): Promise<string> {
  const { only, kills, machine, isRecorded } = options;
  const unknown = only.filter((id) => !SIDES.some((side) => side.id === id));
  if (unknown.length > 0)
    throw new Error(
      `--only ${unknown.join(', ')}: the sides are ${SIDES.map(({ id }) => id).join(', ')}`,
    );
  const rivals = mkdtempSync(join(tmpdir(), 'sojourn-rivals-'));
  const installed = installRivals(rivals);
  const sides = SIDES.filter(({ id }) => only.length === 0 || only.includes(id));
  const versions = Object.fromEntries(
    sides.map(({ id, package: name }) => [id, installed[name ?? '']]),
  ) as Record<string, string>;
  const begun = performance.now();
  const tell = (text: string): void =>
    console.error(`${((performance.now() - begun) / 1_000).toFixed(0).padStart(5)} s  ${text}`);
  const outcomes: Outcome[] = [];
  const recorded: Recorded = {
    date: new Date().toISOString().slice(0, 10),
    machine,
    settings: { clients: 30, kills },
    versions,
    outcomes,
  };
  for (const side of sides) {
    outcomes.push(await play(side, { kills, rivals, log: join(rivals, `${side.id}.log`), tell }));
    if (isRecorded) record(recorded);
  }
  rmSync(join(rivals, 'node_modules'), { recursive: true });
  if (isRecorded) execFileSync(process.execPath, [PAGES], { stdio: 'inherit' });
  return `${tableOf(recorded)}\n\nlogs: ${rivals}`;
}
