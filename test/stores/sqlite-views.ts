/** Files in a folder of their own, views on them, and what tests put in. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { OpenStore, SessionRecord, Store, StoreOptions } from '../../src/stores/store.ts';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import { createLog } from '../kit/log.ts';
import { systemRandom, systemTime } from '../../src/system.ts';
import { plainRecord } from './plain-record.ts';

export const ME = 'instance-me';
export const FENCE = { epoch: 1, owner: ME };

/** Removed when the test is over. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sojourn-sqlite-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export const newPath = (): string => join(newFolder(), 'sessions.db');

export function storeOptions(more: Partial<StoreOptions> = {}): StoreOptions {
  return {
    name: 'mcp',
    time: systemTime,
    random: systemRandom,
    logger: createLog(),
    leaseMs: 30_000,
    tombstoneMs: 600_000,
    retention: { ttlMs: 600_000, events: 1_000, bytes: 1_048_576 },
    eventLogBytes: 268_435_456,
    tombstones: 100_000,
    ...more,
  };
}

/** Closed when the test is over. */
export async function openView(store: Store | string, more: Partial<StoreOptions> = {}): Promise<OpenStore> {
  const view = await (typeof store === 'string' ? sqlite(store) : store).open(storeOptions(more));
  onTestFinished(() => view.close());
  return view;
}

export function recordOf(id: string, more: Partial<SessionRecord> = {}): SessionRecord {
  return plainRecord(id, FENCE, more);
}
