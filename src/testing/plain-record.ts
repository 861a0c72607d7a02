/** A record that sets only what a caller gives. */
import { type Ownership, RECORD_VERSION, type SessionRecord } from '../stores/store.ts';

export function plainRecord(id: string, from: Ownership, more: Partial<SessionRecord> = {}): SessionRecord {
  return {
    v: RECORD_VERSION,
    id,
    ...from,
    user: null,
    version: '2025-11-25',
    handshake: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
    answer: '{}',
    initialized: true,
    logLevel: null,
    subscriptions: [],
    state: {},
    getStream: false,
    createdAt: 0,
    activeAt: 0,
    expiresAt: null,
    ...more,
  };
}
