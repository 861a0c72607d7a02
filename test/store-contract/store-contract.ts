/**
 * The store contract as data: what every store must do. Run each case with a new kit, in any test runner.
 *
 *     for (const { id, title, needs, run } of storeContract) {
 *       test(`${id}: ${title}`, async () => {
 *         const kit = createStoreKit({ connect: () => redis(url), pass: (ms) => sleep(ms) });
 *         try {
 *           await run(kit);
 *         } finally {
 *           await kit.close();
 *         }
 *       });
 *     }
 */
import { clockCases } from './contract/clocks.ts';
import { deploymentCases } from './contract/deployments.ts';
import { instanceCases } from './contract/instances.ts';
import { loadCases } from './contract/load.ts';
import { pageCases } from './contract/pages.ts';
import { recordCases } from './contract/records.ts';
import type { StoreCase } from './contract/store-case.ts';

export const storeContract: readonly StoreCase[] = [
  ...recordCases,
  ...pageCases,
  ...instanceCases,
  ...deploymentCases,
  ...clockCases,
  ...loadCases,
];
