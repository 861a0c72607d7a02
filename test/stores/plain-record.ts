/** A record that sets only what a test gives. */
import type { Fence, SessionRecord } from '../../src/stores/store.ts';

export function plainRecord(id: string, fence: Fence, more: Partial<SessionRecord>): SessionRecord {
  return {
    v: 1,
    id,
    ...fence,
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
