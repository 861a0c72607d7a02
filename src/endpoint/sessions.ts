/** `endpoint.sessions`: the sessions of this instance and of the deployment. */
import type { EventEmitter } from 'node:events';
import type { Core } from './core.ts';
import { optionInvalid } from '../errors.ts';
import { isEnded, type SessionRecord } from '../stores/store.ts';
import type { SessionEvent, SessionEventName, SessionInfo } from '../types.ts';

const PAGE = 100;
const PAGE_MAX = 1_000;

export interface SessionPageRequest {
  /** 1 to 1,000; default 100. */
  limit?: number | undefined;
  cursor?: string | undefined;
}

/** Emits {@link SessionEventName}s of this instance, each with a {@link SessionEvent}. */
export type SessionEvents = EventEmitter<Record<SessionEventName, [SessionEvent]>>;

export interface Sessions {
  /** Live sessions on this instance; needs no store call. */
  readonly count: number;
  /** The deployment's sessions, page by page. */
  list(page?: SessionPageRequest): Promise<{ sessions: SessionInfo[]; nextCursor?: string }>;
  /** `undefined`: the id is unknown or the session ended. */
  get(id: string): Promise<SessionInfo | undefined>;
  /** Ends a session on whichever instance it lives. `false`: there is no such session. */
  terminate(id: string): Promise<boolean>;
  /** Events of this instance. */
  readonly events: SessionEvents;
}

export function createSessions(
  core: () => Core | undefined,
  ready: () => Promise<Core>,
  events: SessionEvents,
): Sessions {
  return {
    get count() {
      return core()?.registry.count ?? 0;
    },
    events,
    async list(page = {}) {
      const limit = page.limit ?? PAGE;
      if (!Number.isInteger(limit) || limit < 1 || limit > PAGE_MAX) {
        throw optionInvalid('range', 'limit', limit, `1 to ${PAGE_MAX}`);
      }
      const { store, instance } = await ready();
      const alive = new Set((await instance.leases()).map(({ id }) => id));
      const { records, nextCursor } = await store.sessions.list(limit, page.cursor);
      return {
        sessions: records.map((record) => toInfo(record, alive)),
        ...(nextCursor !== undefined && { nextCursor }),
      };
    },
    async get(id) {
      const { store, instance } = await ready();
      const record = await store.sessions.read(id);
      if (record === undefined || isEnded(record)) return undefined;
      return toInfo(record, new Set((await instance.leases()).map((lease) => lease.id)));
    },
    async terminate(id) {
      return (await ready()).legacy.terminate(id);
    },
  };
}

function toInfo(record: SessionRecord, alive: ReadonlySet<string>): SessionInfo {
  const { owner } = record;
  const live = owner !== null && alive.has(owner);
  return {
    id: record.id,
    status: live ? 'live' : 'hibernated',
    ...(live && { owner }),
    ...(record.user !== null && { user: record.user }),
    clientInfo: record.handshake.clientInfo,
    protocolVersion: record.version,
    createdAt: record.createdAt,
    activeAt: record.activeAt,
  };
}
