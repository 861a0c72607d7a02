/**
 * The contracts above a backend (`backend/backend-contract.ts`), as data. Run each case with a new kit, in any test
 * runner.
 */
import { forgottenCases, secretCases } from './contract/forgotten.ts';
import { leaseCases, sharedLeaseCases } from './contract/leases.ts';
import { recordCases, sharedRecordCases } from './contract/records.ts';
import { viewCases } from './contract/views.ts';
import type { StoreCase } from './contract/store-kit.ts';

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
