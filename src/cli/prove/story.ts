/** What befalls the two instances, in this order: a deploy, kills, a freeze, a store that is away. */
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../../testing/until.ts';
import { lockFile } from './file-lock.ts';
import type { ProvedInstance } from './proved-instance.ts';

/** Longer than a lease, so that the other instance takes over. */
const FROZEN_MS = 4_500;
const AWAY_MS = 5_000;
/** Until a process that was frozen has said so. */
const AWAKE_MS = 1_000;
/** Until the other instance has taken over what a killed one had; the longest call, too, then ends before the next fault. */
const APART_MS = 3_500;
const MOST_APART_MS = 20_000;
const LEAST_CALM_MS = 1_500;
/** How long a kill waits for a call that it interrupts. */
const RUNNING_MS = 1_500;

export interface Stage {
  readonly instances: readonly ProvedInstance[];
  readonly seconds: number;
  readonly drainTimeoutMs: number;
  /** The file of the store, where it may be locked. */
  readonly file: string | undefined;
  /** Which of the tools that run a kill should interrupt rather than others. */
  isWanted(tool: string): boolean;
  /** How long the longest call took so far. */
  longestMs(): number;
  /** What befalls the server from now on. */
  begin(phase: string): void;
  tell(text: string): void;
}

export async function play(stage: Stage): Promise<void> {
  const { instances, seconds, file, begin, tell } = stage;
  const end = performance.now() + seconds * 1_000;
  const calmMs = Math.max(LEAST_CALM_MS, seconds * 80);
  await delay(calmMs);
  begin('rolling restart');
  for (const instance of instances) {
    const { number, pid } = instance;
    const ms = await instance.drain(stage.drainTimeoutMs);
    await instance.start();
    tell(
      `rolling restart: instance ${number} (pid ${pid}) drained in ${inSeconds(ms)}, and another process serves`,
    );
  }
  const apartMs = Math.min(MOST_APART_MS, stage.longestMs() + APART_MS);
  const restMs = apartMs + FROZEN_MS + AWAKE_MS + (file === undefined ? 0 : AWAY_MS) + calmMs;
  const left = (): number => end - restMs - apartMs - performance.now();
  begin('kills');
  for (let kills = 0; kills < instances.length || left() > 0; kills++) {
    await delay(apartMs);
    await kill(stage, instances[kills % instances.length] as ProvedInstance);
  }
  await delay(apartMs);
  begin('frozen');
  const [frozen] = instances;
  if (frozen !== undefined) {
    tell(`instance ${frozen.number} (pid ${frozen.pid}) is frozen for ${inSeconds(FROZEN_MS)}`);
    frozen.freeze();
    await delay(FROZEN_MS);
    frozen.wake();
    await delay(AWAKE_MS);
    frozen.isStruck = false;
  }
  if (file !== undefined) {
    begin('store away');
    tell(`the store is away for ${inSeconds(AWAY_MS)}: its file is locked`);
    await lockFile(file, AWAY_MS);
  }
  begin('calm');
  await delay(calmMs);
}

async function kill({ isWanted, tell }: Stage, instance: ProvedInstance): Promise<void> {
  const runs = (): readonly string[] => instance.running.filter(isWanted);
  await until(() => runs().length > 0, { timeoutMs: RUNNING_MS }).catch(() => {});
  const { number, pid, running } = instance;
  await instance.kill();
  tell(
    `kill -9 of instance ${number} (pid ${pid})${running.length === 0 ? '' : `, in a call of ${running.join(', ')}`}`,
  );
  await instance.start();
}

export const inSeconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
