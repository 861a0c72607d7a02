/** Stores that the instances of a fleet in one process share, as its processes would: for `describe.each(storeKinds)`. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { memory } from '../../src/stores/memory/index.ts';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import type { Store } from '../../src/stores/store.ts';

export const storeKinds = ['memory', 'sqlite'] as const;
export type StoreKind = (typeof storeKinds)[number];

/** Called for each instance: one object for all, or a connection of its own each. What it needs is gone after the test. */
export function sharedStore(kind: StoreKind): () => Store {
  if (kind === 'memory') {
    const store = memory();
    return () => store;
  }
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-fleet-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return () => sqlite(join(folder, 'sessions.db'));
}
