/** A record that sets only what a caller gives. */
import { type Ownership, RECORD_VERSION, type StoredRecord } from '../../../src/stores/store.ts';

export function plainRecord(
  id: string,
  from: Ownership,
  more: Partial<StoredRecord> = {},
): StoredRecord {
  return {
    v: RECORD_VERSION,
    id,
    ...from,
    user: null,
    share: null,
    head: 'head',
    body: '{}',
    fields: {},
    createdAt: 0,
    stamp: 0,
    expiresAt: null,
    dueAt: null,
    rung: 0,
    ...more,
  };
}
