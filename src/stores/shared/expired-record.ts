/** What every reader of an expired record sees: it ended at its expiry, without an outcome. */
import type { EndedRecord } from '../store.ts';

export const expiredRecord = (id: string, expiresAt: number): EndedRecord => ({ id, outcome: '', at: expiresAt });
