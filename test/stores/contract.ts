/** Runs the contracts of stores. */
import { test } from 'vitest';
import { backendContract, type BackendUnderTest } from '../store-contract/backend/backend-contract.ts';
import { createStoreKit, type StoreCase, type StoreUnderTest } from '../store-contract/contract/store-kit.ts';

const LONG_MS = 120_000;

/** `under` is called for each case. */
export function contractTests(cases: readonly StoreCase[], under: () => StoreUnderTest): void {
  test.each(cases)(
    '$id: $title',
    async ({ run }) => {
      const kit = createStoreKit(under());
      try {
        await run(kit);
      } finally {
        await kit.close();
      }
    },
    LONG_MS,
  );
}

/** `under` is called for each case, and closes what it has opened when the test is over. */
export function backendTests(
  under: () => BackendUnderTest | Promise<BackendUnderTest>,
  { refuses = false } = {},
): void {
  const cases = backendContract.filter((one) => refuses || one.refuses !== true);
  test.each(cases)('$title', async ({ run }) => run(await under()), LONG_MS);
}
