/** Instances in processes of their own on one store, and the file in which their handlers leave their effects. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startNode } from './child-process.ts';
import { type DurableKind, sharedTarget } from './shared-stores.ts';
import { temporaryFolder } from './temporary.ts';

interface Line {
  readonly by: number;
  readonly begin?: string;
  readonly effect?: string;
  /** A step whose result is stored. */
  readonly recorded?: string;
}

/** Short: the others wait for the lease of a process that was killed. */
const LEASE_MS = 1_000;

let deployments = 0;

/** Who began each run, and how often it had its effect. */
interface Runs {
  readonly begun: ReadonlyMap<string, readonly number[]>;
  readonly effects: ReadonlyMap<string, number>;
}

/** `server`: a program that takes the kind of the store, its target and the effects file, and prints its url. */
export function effectsDeployment(kind: DurableKind, server: string) {
  const folder = temporaryFolder();
  const effects = join(folder, 'effects');
  writeFileSync(effects, '');
  const target = sharedTarget(kind);
  const name = `effects-${process.pid}-${(deployments += 1)}`;
  async function start(killAt = '', leaseMs = LEASE_MS) {
    const env = { ...process.env, SOJOURN_NAME: name, KILL_AT: killAt, LEASE_MS: String(leaseMs) };
    const { child, says, alive } = startNode([server, kind, target, effects], { env });
    return { child, url: await says(/^url (.*)$/m), alive };
  }
  const lines = (): Line[] =>
    readFileSync(effects, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Line);
  const runs = (): Runs => {
    const begun = new Map<string, number[]>();
    const effects = new Map<string, number>();
    for (const { by, begin, effect } of lines()) {
      if (begin !== undefined) begun.set(begin, [...(begun.get(begin) ?? []), by]);
      if (effect !== undefined) effects.set(effect, (effects.get(effect) ?? 0) + 1);
    }
    return { begun, effects };
  };
  const count = (of: 'begin' | 'effect', what: string): number => lines().filter((line) => line[of] === what).length;
  return { start, runs, lines, count, name, storeUrl: kind === 'sqlite' ? `sqlite:${target}` : target };
}
