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

/** What `list()` of sessions and tasks takes. */
export interface PageRequest {
  /** 1 to 1,000; default 100. */
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
  /** Those of one user. */
  readonly userKey?: string | undefined;
}

/** One page as a promise; `for await` walks the items of all pages, from that one on. */
export interface PagedList<Page extends { readonly nextCursor?: string }, Item>
  extends Promise<Page>, AsyncIterable<Item> {}

/** `itemsOf`: what a page holds. */
export function pagedList<Page extends { readonly nextCursor?: string }, Item>(
  request: PageRequest,
  readPage: (request: PageRequest) => Promise<Page>,
  itemsOf: (page: Page) => readonly Item[],
): PagedList<Page, Item> {
  const first = readPage(request);
  return Object.assign(first, {
    async *[Symbol.asyncIterator]() {
      for (
        let page = await first;
        ;
        page = await readPage({ ...request, cursor: page.nextCursor })
      ) {
        yield* itemsOf(page);
        if (page.nextCursor === undefined) return;
      }
    },
  });
}

export interface SessionInfoPage {
  sessions: SessionInfo[];
  nextCursor?: string;
}

export interface Sessions {
  /** Live sessions on this instance; needs no store call. */
  readonly liveCount: number;
  /** The deployment's sessions, page by page or one by one. With `userKey` a page may have fewer than `limit`. */
  list(page?: PageRequest): PagedList<SessionInfoPage, SessionInfo>;
  /** `undefined`: the id is unknown or the session ended. */
  get(id: string): Promise<SessionInfo | undefined>;
  /**
   * Sends a notification to the client of a session, on its GET stream: a client that never opened one does not get it.
   * `true`: the session is live here, or the
   * instance that has it live was sent the message. `false`: no instance has it live.
   */
  notify(id: string, method: string, params?: Readonly<Record<string, unknown>>): Promise<boolean>;
  /** Ends a session on whichever instance it lives. `false`: there is no such session. */
  end(id: string): Promise<boolean>;
}

/** How many records a page has at most. */
export function pageLimit({ limit = PAGE }: PageRequest): number {
  if (Number.isInteger(limit) && limit >= 1 && limit <= PAGE_MAX) return limit;
  throw optionInvalid('range', 'limit', limit, `1 to ${PAGE_MAX}`);
}

export function createSessions(core: Core): Sessions {
  const unreadable = new UnreadableRecords('sessions', core.options.logger);
  const readPage = async (page: PageRequest): Promise<SessionInfoPage> => {
    const limit = pageLimit(page);
    const { store, instance } = await core.ready();
    const alive = await instance.living();
    const listed = await store.sessions.list(limit, page.cursor);
    const { nextCursor } = listed;
    const { rows } = unreadable.split(listed, (record) => sessionInfo(record, alive));
    const { userKey } = page;
    return {
      sessions: rows.filter((one) => userKey === undefined || one.userKey === userKey),
      ...(nextCursor !== undefined && { nextCursor }),
    };
  };
  return {
    get liveCount() {
      return core.registry.count;
    },
    list: (page = {}) => pagedList(page, readPage, ({ sessions }) => sessions),
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
    async end(id) {
      return (await core.ready()).legacy.terminate(id);
    },
  };
}
