/** Instances in processes of their own on one store, and the file in which their handlers leave their effects. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startNode } from './child-process.ts';
import { callModern } from './modern.ts';
import { createRawClient, type JsonRpcAnswer } from './raw-client.ts';
import { type DurableKind, sharedTarget } from './shared-stores.ts';
import { temporaryFolder } from './temporary.ts';

interface Line {
  readonly by: number;
  readonly begin?: string;
  readonly effect?: string;
  /** A step whose result is stored. */
  readonly recorded?: string;
}

const SERVER = join(import.meta.dirname, 'processes/effects-server.mjs');
/** Short: the others wait for the lease of a process that was killed. */
const LEASE_MS = 1_000;
export const PATIENCE_MS = 30_000;

let deployments = 0;

interface Kills {
  readonly kills: number;
  /** Between two of them, at least. */
  readonly pauseMs: number;
  readonly clients: number;
}

/** `start`: `killAt` is a point of `processes/effects-server.mjs`. */
export function effectsDeployment(kind: DurableKind) {
  const effects = join(temporaryFolder(), 'effects');
  writeFileSync(effects, '');
  const target = sharedTarget(kind);
  const name = `effects-${process.pid}-${(deployments += 1)}`;
  async function start(killAt = '', leaseMs = LEASE_MS) {
    const env = { ...process.env, SOJOURN_NAME: name, KILL_AT: killAt, LEASE_MS: String(leaseMs) };
    const { child, says, alive } = startNode([SERVER, kind, target, effects], { env });
    return { child, url: await says(/^url (.*)$/m), alive };
  }
  const lines = (): Line[] =>
    readFileSync(effects, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Line);
  const count = (of: 'begin' | 'effect', what: string): number => lines().filter((line) => line[of] === what).length;
  /**
   * Clients work all the time, while one of two instances after the other is killed. `work` resolves with its outcome,
   * or with nothing where it could not begin; `at` has the URLs of both. Resolves with how often each outcome was.
   */
  async function underKills(
    { kills, pauseMs, clients }: Kills,
    work: (at: (n: number) => string) => Promise<string | undefined>,
  ): Promise<Readonly<Record<string, number>>> {
    const instances = [await start(), await start()];
    const outcomes: Record<string, number> = {};
    let isOver = false;
    const working = Array.from({ length: clients }, async (_, client) => {
      while (!isOver) {
        const outcome = await work((n) => String(instances[(client + n) % 2]?.url));
        if (outcome !== undefined) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      }
    });
    for (let killed = 0; killed < kills; killed++) {
      await new Promise((next) => setTimeout(next, pauseMs + ((killed * 137) % 400)));
      instances[killed % 2]?.child.kill('SIGKILL');
      instances[killed % 2] = await start();
    }
    isOver = true;
    await Promise.all(working);
    console.log(`${kind}: ${kills} kills, ${JSON.stringify(outcomes)}`);
    return outcomes;
  }
  return { start, lines, count, underKills, name, storeUrl: kind === 'sqlite' ? `sqlite:${target}` : target };
}

/** Calls a tool of `once()`. `undefined`: the connection broke. */
export async function callOnce(url: string, tool: string, key: string, ms = 0): Promise<JsonRpcAnswer | undefined> {
  const client = createRawClient(url, { timeoutMs: PATIENCE_MS });
  try {
    return (await callModern(client, 'tools/call', { name: tool, arguments: { key, ms } })).message;
  } catch {
    return undefined;
  } finally {
    client.close();
  }
}
