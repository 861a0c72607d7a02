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
import { dueCases } from './contract/due.ts';
import { endCases } from './contract/ends.ts';
import { eventLogCases } from './contract/event-log.ts';
import { expiryCases } from './contract/expiry.ts';
import { fieldCases } from './contract/fields.ts';
import { groupCases } from './contract/groups.ts';
import { instanceCases } from './contract/instances.ts';
import { kindCases } from './contract/kinds.ts';
import { listingCases } from './contract/listing.ts';
import { loadCases } from './contract/load.ts';
import { outageCases } from './contract/outages.ts';
import { ownershipCases } from './contract/ownership.ts';
import { recordCases } from './contract/records.ts';
import { retentionCases } from './contract/retention.ts';
import { roomCases } from './contract/room.ts';
import type { StoreCase } from './contract/store-case.ts';

export const storeContract: readonly StoreCase[] = [
  ...recordCases,
  ...fieldCases,
  ...ownershipCases,
  ...endCases,
  ...expiryCases,
  ...dueCases,
  ...kindCases,
  ...listingCases,
  ...groupCases,
  ...roomCases,
  ...eventLogCases,
  ...retentionCases,
  ...instanceCases,
  ...deploymentCases,
  ...clockCases,
  ...loadCases,
  ...outageCases,
];
