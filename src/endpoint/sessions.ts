/** `endpoint.sessions`: the sessions of this instance and of the deployment. */
import { optionInvalid } from '../base/errors.ts';
import { sessionInfo } from '../session/record/session-summary.ts';
import { UnreadableRecords } from '../stores/shared/unreadable-records.ts';
import { isEnded } from '../stores/store.ts';
import type { SessionInfo } from '../base/types.ts';
import type { Core } from './core.ts';
import { notificationOf } from './notifications.ts';

const PAGE = 100;
const PAGE_MAX = 1_000;

export interface SessionPageRequest {
  /** 1 to 1,000; default 100. */
  limit?: number | undefined;
  cursor?: string | undefined;
}

/** One page as a promise; `for await` walks the sessions of all pages, from that one on. */
export interface SessionList extends Promise<SessionInfoPage>, AsyncIterable<SessionInfo> {}

export interface SessionInfoPage {
  sessions: SessionInfo[];
  nextCursor?: string;
}

export interface Sessions {
  /** Live sessions on this instance; needs no store call. */
  readonly count: number;
  /** The deployment's sessions, page by page or one by one. */
  list(page?: SessionPageRequest): SessionList;
  /** `undefined`: the id is unknown or the session ended. */
  get(id: string): Promise<SessionInfo | undefined>;
  /**
   * Sends a notification to the client of a session, on its GET stream: a client that never opened one does not get it.
   * `true`: the session is live here, or the
   * instance that has it live was sent the message. `false`: no instance has it live.
   */
  notify(id: string, method: string, params?: Readonly<Record<string, unknown>>): Promise<boolean>;
  /** Ends a session on whichever instance it lives. `false`: there is no such session. */
  terminate(id: string): Promise<boolean>;
}

/** How many records a page has at most. */
export function pageLimit({ limit = PAGE }: SessionPageRequest): number {
  if (Number.isInteger(limit) && limit >= 1 && limit <= PAGE_MAX) return limit;
  throw optionInvalid('range', 'limit', limit, `1 to ${PAGE_MAX}`);
}

/** The first page as a promise, and the items of all pages from that one on. */
export function walked<Page extends { readonly nextCursor?: string }, Item>(
  cursor: string | undefined,
  read: (cursor: string | undefined) => Promise<Page>,
  itemsOf: (page: Page) => readonly Item[],
): Promise<Page> & AsyncIterable<Item> {
  const first = read(cursor);
  return Object.assign(first, {
    async *[Symbol.asyncIterator]() {
      for (let next = await first; ; next = await read(next.nextCursor)) {
        yield* itemsOf(next);
        if (next.nextCursor === undefined) return;
      }
    },
  });
}

export function createSessions(core: Core): Sessions {
  const unreadable = new UnreadableRecords('sessions', core.options.logger);
  const readPage = async (page: SessionPageRequest): Promise<SessionInfoPage> => {
    const limit = pageLimit(page);
    const { store, instance } = await core.ready();
    const alive = await instance.living();
    const listed = await store.sessions.list(limit, page.cursor);
    const { nextCursor } = listed;
    return {
      sessions: [...unreadable.split(listed, (record) => sessionInfo(record, alive)).rows],
      ...(nextCursor !== undefined && { nextCursor }),
    };
  };
  return {
    get count() {
      return core.registry.count;
    },
    list: (page = {}) =>
      walked(
        page.cursor,
        (cursor) => readPage({ ...page, cursor }),
        ({ sessions }) => sessions,
      ),
    async get(id) {
      const { store, instance } = await core.ready();
      const record = await store.sessions.read(id);
      if (record === undefined || isEnded(record)) return undefined;
      return sessionInfo(record, await instance.living());
    },
    async notify(id, method, params) {
      const notification = notificationOf(method, params);
      const { notifications, store } = await core.ready();
      return notifications.deliverAnywhere(id, notification, store);
    },
    async terminate(id) {
      return (await core.ready()).legacy.terminate(id);
    },
  };
}
