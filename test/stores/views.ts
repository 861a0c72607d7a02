/** Views on a store for tests, and test data. */
import { onTestFinished } from 'vitest';
import type { Store, StoredRecord } from '../../src/stores/store.ts';
import { openView, type View, type ViewSettings } from '../store-contract/view.ts';
import { systemRandom, systemTime } from '../../src/base/system.ts';
import { createLog } from '../kit/log.ts';
import { plainRecord } from '../store-contract/plain-record.ts';

export const ME = 'instance-me';
export const FENCE = { epoch: 1, owner: ME };
/** What a caller sees in a new record that has no owner. */
export const OWNERLESS = { epoch: 1, owner: null };

export function storeOptions(more: Partial<ViewSettings> = {}): ViewSettings {
  return {
    name: 'mcp',
    time: systemTime,
    random: systemRandom,
    logger: createLog(),
    leaseMs: 30_000,
    keepMs: 600_000,
    log: { ttlMs: 600_000, events: 1_000, bytes: 1_048_576 },
    eventLogBytes: 268_435_456,
    tombstones: 100_000,
    ...more,
  };
}

/** The test closes it. */
export const openPlain = openView;

/** Closed when the test is over. */
export async function open(store: Store, settings: ViewSettings): Promise<View> {
  const view = await openView(store, settings);
  onTestFinished(() => view.close());
  return view;
}

export function recordOf(id: string, more: Partial<StoredRecord> = {}): StoredRecord {
  return plainRecord(id, FENCE, more);
}
