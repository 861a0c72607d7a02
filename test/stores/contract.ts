/** The contracts of stores, and how they run. Those above a backend are data: a case gets a new kit. */
import { test } from 'vitest';
import { backendContract, type BackendUnderTest } from './contract/backend/backend-contract.ts';
import { deploymentCases, forgottenCases, secretCases } from './contract/forgotten.ts';
import { leaseCases, sharedLeaseCases } from './contract/leases.ts';
import { recordCases, sharedRecordCases } from './contract/records.ts';
import { createStoreKit, type StoreCase, type StoreUnderTest } from './contract/store-kit.ts';
import { viewCases } from './contract/views.ts';

/** What every store does by itself: its mailboxes, its connections. */
export const storeContract: readonly StoreCase[] = viewCases;

/** What the kernel does on any backend. The test moves the clock of the store. */
export const kernelContract: readonly StoreCase[] = [...recordCases, ...leaseCases, ...secretCases];

/** What it does where processes share a store: leases expire, and the clock can be set back. */
export const sharedKernelContract: readonly StoreCase[] = [
  ...sharedRecordCases,
  ...sharedLeaseCases,
  ...forgottenCases,
];

/** What it does where the store is a server. */
export const serverContract: readonly StoreCase[] = [...storeContract, ...deploymentCases];

const LONG_MS = 120_000;

/** `under` is called for each case. */
export function contractTests(cases: readonly StoreCase[], under: () => StoreUnderTest): void {
  test.each(cases)('$name', async (one) => runCase(one, under()), LONG_MS);
}

export async function runCase({ run }: StoreCase, under: StoreUnderTest): Promise<void> {
  const kit = createStoreKit(under);
  try {
    await run(kit);
  } finally {
    await kit.close();
  }
}

/** `under` is called for each case, and closes what it has opened when the test is over. */
export function backendTests(
  under: () => BackendUnderTest | Promise<BackendUnderTest>,
  { refuses = false } = {},
): void {
  const cases = backendContract.filter((one) => refuses || one.refuses !== true);
  test.each(cases)('$title', async ({ run }) => run(await under()), LONG_MS);
}
