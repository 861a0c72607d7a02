/** Runs the store contract, with what the test of a store provides for the cases that need something. */
import { test } from 'vitest';
import { createStoreKit, type StoreUnderTest } from '../store-contract/contract/store-kit.ts';
import { storeContract } from '../store-contract/store-contract.ts';
import type { StoreCase, StoreNeed } from '../store-contract/contract/store-case.ts';

/** What a store has whose clock the test moves, and sets back. */
export const MOVED_CLOCK = ['moved-clock', 'lease-expiry', 'clock-set-back'] as const satisfies readonly StoreNeed[];

export const casesFor = (...has: readonly StoreNeed[]): readonly StoreCase[] =>
  storeContract.filter(({ needs }) => needs === undefined || has.includes(needs));

/** The ids of all other cases. */
export const idsBut = (...cases: readonly StoreCase[]): readonly string[] =>
  storeContract.filter((one) => !cases.includes(one)).map(({ id }) => id);

export async function runCase({ run }: StoreCase, under: StoreUnderTest): Promise<void> {
  const kit = createStoreKit(under);
  try {
    await run(kit);
  } finally {
    await kit.close();
  }
}

/** For cases with many sweeps. */
const LONG_MS = 120_000;

export interface ContractSettings {
  /**
   * Runs cases side by side, each in separate deployments. Most of them wait for the clock of a server. `under` must
   * not need a hook of the test.
   */
  readonly concurrent?: boolean;
}

/** A test for each case. `under` is called for each, with its case. */
export function contractTests(
  cases: readonly StoreCase[],
  under: (one: StoreCase) => StoreUnderTest | Promise<StoreUnderTest>,
  { concurrent = false }: ContractSettings = {},
): void {
  const tests = concurrent ? test.concurrent : test;
  tests.each(cases)('$id: $title', async (one) => runCase(one, await under(one)), LONG_MS);
}
