/** Views on a store for tests, and test data. */
import { onTestFinished } from 'vitest';
import { base64url, systemRandom } from '../../src/base/system.ts';
import type { Store } from '../../src/stores/store.ts';
import { openView as open, type View, type ViewSettings } from './contract/view.ts';
import { VIEW_DEFAULTS } from './contract/store-kit.ts';
import { createLog } from '../kit/log.ts';
import { storeAt } from './store-at.ts';

export { announce, append, FENCE, ME, OTHER, recordOf } from './contract/store-kit.ts';

export const newName = (): string => `test-${base64url(systemRandom(9))}`;

export const storeOptions = (more: Partial<ViewSettings> = {}): ViewSettings => ({
  ...VIEW_DEFAULTS,
  deployment: 'mcp',
  logger: createLog(),
  ...more,
});

/** On a store, or on the one of a path or URL. Closed when the test is over, if the test has not closed it. */
export async function openView(
  at: Store | string,
  more: Partial<ViewSettings> = {},
): Promise<View> {
  const store = typeof at === 'string' ? storeAt(at) : at;
  // Tests on Redis share a server; the others have a database or a file each.
  const name = store.kind === 'redis' ? newName() : 'mcp';
  const view = await open(store, storeOptions({ deployment: name, ...more }));
  onTestFinished(() => view.close());
  return view;
}
