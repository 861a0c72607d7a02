/** What every reader of an expired session sees: it ended at its expiry, as idle. */
import { RECORD_VERSION, type EndedSession } from '../store.ts';

export const expiredSession = (id: string, expiresAt: number): EndedSession => ({
  v: RECORD_VERSION,
  id,
  ended: 'idle',
  at: expiresAt,
});
