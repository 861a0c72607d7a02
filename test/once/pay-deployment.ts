/** Instances of `processes/pay-server.mjs` on one store, and the file in which their runs leave their effects. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { createRawClient, type JsonRpcAnswer } from '../../src/testing/index.ts';
import { startNode } from '../kit/child-process.ts';
import { callModern } from '../kit/modern.ts';
import { type DurableKind, sharedTarget } from '../kit/shared-stores.ts';
import { until } from '../kit/until.ts';

const SERVER = join(import.meta.dirname, 'processes/pay-server.mjs');
export const PATIENCE_MS = 30_000;

interface Line {
  readonly by: number;
  readonly begin?: string;
  readonly effect?: string;
}

let deployments = 0;

/** Who began each run, and how often it had its effect. */
interface Runs {
  readonly begun: ReadonlyMap<string, readonly number[]>;
  readonly effects: ReadonlyMap<string, number>;
}

export function payDeployment(kind: DurableKind) {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-once-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const effects = join(folder, 'effects');
  writeFileSync(effects, '');
  const target = sharedTarget(kind);
  const name = `once-${process.pid}-${(deployments += 1)}`;
  async function start(killAt = '') {
    const env = { ...process.env, SOJOURN_NAME: name, KILL_AT: killAt };
    const { child, output, alive } = startNode([SERVER, kind, target, effects], { env });
    const url = await until(() => /^url (.*)$/m.exec(output.stdout)?.[1] ?? '', {
      timeoutMs: 60_000,
      what: `its url: ${output.stderr}`,
    });
    return { child, url, alive };
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
  return { start, runs, count, name, storeUrl: kind === 'sqlite' ? `sqlite:${target}` : target };
}

/** `undefined`: the connection broke. */
export async function callPay(url: string, tool: string, key: string, ms = 0): Promise<JsonRpcAnswer | undefined> {
  const client = createRawClient(url, { timeoutMs: PATIENCE_MS });
  try {
    return (await callModern(client, 'tools/call', { name: tool, arguments: { key, ms } })).message;
  } catch {
    return undefined;
  } finally {
    client.close();
  }
}
