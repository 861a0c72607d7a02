/** Views on a store for tests, and test data. */
import { onTestFinished } from 'vitest';
import type { Store, StoredRecord } from '../../src/stores/store.ts';
import { openView, type View, type ViewSettings } from '../store-contract/view.ts';
import { FENCE, VIEW_DEFAULTS } from '../store-contract/contract/store-kit.ts';
import { createLog } from '../kit/log.ts';
import { plainRecord } from '../store-contract/plain-record.ts';

export { announce, append, FENCE, ME, OTHER } from '../store-contract/contract/store-kit.ts';

export const storeOptions = (more: Partial<ViewSettings> = {}): ViewSettings => ({
  ...VIEW_DEFAULTS,
  name: 'mcp',
  logger: createLog(),
  ...more,
});

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
