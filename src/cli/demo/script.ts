/**
 * Keys that are pressed without a person. A dot waits a second. `x` kills a serving instance at random and starts it
 * again, now or at the next `x`: up to two are down at once. A seed repeats the choices of `x`.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { seededRandom } from '../../base/seeded-random.ts';
import { UsageError } from '../failure.ts';
import { CAN_FREEZE, type Name, NAMES } from './instance-names.ts';
import type { Stage } from './stage.ts';

/** What the demo does where no person can press a key. */
export const TOUR = `...2k....r....s........${CAN_FREEZE ? '3f......f...' : ''}1d...r...`;

const KEYS: readonly string[] = ['1', '2', '3', 'k', ...(CAN_FREEZE ? ['f'] : []), 'd', 'r', 's', 'x', '.', 'q'];

/** Throws a `UsageError` for a key that does not exist. */
export function checkScript(script: string): void {
  const wrong = script.split('').find((key) => key !== ' ' && !KEYS.includes(key));
  if (wrong !== undefined) {
    throw new UsageError(`--script: there is no key ${JSON.stringify(wrong)}; the keys are ${KEYS.join(' ')}`);
  }
}

export interface Pressing {
  press(key: string): void | Promise<void>;
  /** The demo ends. */
  readonly signal: AbortSignal;
}

/** Resolves when the last key was pressed, or with `q`. */
export async function play(script: string, seed: number, stage: Stage, { press, signal }: Pressing): Promise<void> {
  const random = seededRandom(seed);
  const wait = (ms: number): Promise<unknown> => delay(ms, undefined, { signal }).catch(() => {});
  for (const key of script) {
    if (signal.aborted || key === 'q') return;
    if (key === ' ') continue;
    if (key === '.') await wait(1_000);
    else if (key === 'x') await killAtRandom(stage, random, wait);
    else await press(key);
  }
}

async function killAtRandom(stage: Stage, random: () => number, wait: (ms: number) => Promise<unknown>): Promise<void> {
  const dead = NAMES.filter((name) => stage.ours.instance(name).state === 'killed');
  const { serving } = stage;
  const victim = serving[Math.floor(random() * serving.length)] as Name;
  stage.kill(victim);
  await wait(100 + random() * 700);
  if (dead.length === 0 && random() < 1 / 3) return;
  await Promise.all([...dead, victim].map((name) => stage.restart(name)));
  await wait(random() * 700);
}
