/** Files in a temporary folder, views on them, and test data. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Store } from '../../src/stores/store.ts';
import type { View, ViewSettings } from '../store-contract/view.ts';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import { open, storeOptions } from './views.ts';

export { FENCE, ME, recordOf, storeOptions } from './views.ts';

/** Removed when the test is over. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-sqlite-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export const newPath = (): string => join(newFolder(), 'sessions.db');

/** Closed when the test is over. */
export async function openView(store: Store | string, more: Partial<ViewSettings> = {}): Promise<View> {
  return open(typeof store === 'string' ? sqlite(store) : store, storeOptions(more));
}
