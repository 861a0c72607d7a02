/** Runs the store contract, with what the test of a store provides for the cases that need something. */
import { test } from 'vitest';
import {
  createStoreKit,
  storeContract,
  type StoreCase,
  type StoreNeed,
  type StoreUnderTest,
} from '../../src/testing/index.ts';
import { elapse, systemTime } from '../../src/base/system.ts';
import type { TimeProvider } from '../../src/types.ts';

export const casesFor = (...has: readonly StoreNeed[]): readonly StoreCase[] =>
  storeContract.filter(({ needs }) => needs === undefined || has.includes(needs));

/** The ids of all other cases. */
export const idsBut = (...cases: readonly StoreCase[]): readonly string[] =>
  storeContract.filter((one) => !cases.includes(one)).map(({ id }) => id);

/** The cases about what the memory store refuses. */
export const ROOM = ['room/number', 'room/share', 'room/bytes', 'room/back', 'room/dropped', 'room/expired'] as const;

/**
 * The streams for a case on a NATS server. A listing there reads the place of every record of all deployments, one by
 * one. Cases that list have streams with few places, and the 2,000 places of `group/many` are apart from all.
 */
export function natsPrefix({ id }: StoreCase): string {
  if (id === 'group/many') return 'many';
  return /^(list|group)\//.exec(id)?.[1] ?? 'rest';
}

/**
 * For stores whose calls fail after 2 s whatever the lease, which a server on a busy machine exceeds: they wait ten
 * times as long. Their clock is that of the system.
 */
export const patientTime: TimeProvider = {
  ...systemTime,
  setTimeout: (fn, ms) => systemTime.setTimeout(fn, 10 * ms),
};

/** A server that elects its leader needs the processor. */
const PAUSE_MS = 100;

/** `saysNothing`: whether a run that ended with this error shows nothing about the store, and the case runs again. */
export async function runCase(
  { run }: StoreCase,
  under: StoreUnderTest,
  saysNothing: (error: unknown) => boolean = () => false,
): Promise<void> {
  const began = performance.now();
  for (;;) {
    // Its deployments are new.
    const kit = createStoreKit(under);
    try {
      return await run(kit);
    } catch (error) {
      if (!saysNothing(error) || performance.now() - began > LONG_MS / 2) throw error;
    } finally {
      await kit.close();
    }
    await elapse(systemTime, PAUSE_MS);
  }
}

/** For cases with outages or many sweeps, and for those that run again on a machine that stalls. */
export const LONG_MS = 120_000;

export interface ContractSettings {
  /**
   * Runs cases side by side, each in separate deployments. Most of them wait for the clock of a server. `under` must
   * not need a hook of the test.
   */
  readonly concurrent?: boolean;
  /** Of {@link runCase}. */
  readonly saysNothing?: (error: unknown) => boolean;
}

/** A test for each case. `under` is called for each, with its case. */
export function contractTests(
  cases: readonly StoreCase[],
  under: (one: StoreCase) => StoreUnderTest | Promise<StoreUnderTest>,
  { concurrent = false, saysNothing }: ContractSettings = {},
): void {
  const tests = concurrent ? test.concurrent : test;
  tests.each(cases)('$id: $title', async (one) => runCase(one, await under(one), saysNothing), LONG_MS);
}
