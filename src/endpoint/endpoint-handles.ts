/** `endpoint.handles`: the handles of the deployment, for the application. */
import type { HandlePage } from '../durable/state/handles.ts';
import type { HandleInfo } from '../base/types.ts';
import type { Core } from './core.ts';
import { pageLimit, type SessionPageRequest, walked } from './sessions.ts';

export interface HandlePageRequest extends SessionPageRequest {
  /** The handles of this user alone: its key, as `session.user`. */
  userKey?: string | undefined;
}

/** One page as a promise; `for await` walks the handles of all pages, from that one on. */
export interface HandleList extends Promise<HandlePage>, AsyncIterable<HandleInfo> {}

/**
 * The handles of the deployment, from any instance. Each method rejects with `STORE_UNAVAILABLE`
 * where the store stays away.
 */
export interface EndpointHandles {
  /** How many there are: all, or those of one user. */
  count(userKey?: string): Promise<number>;
  /** Page by page or one by one. */
  list(page?: HandlePageRequest): HandleList;
  /** `undefined`: it has ended, or there never was one. */
  get(hash: string): Promise<HandleInfo | undefined>;
  /** Ends a handle, with its state. `false`: it had ended. */
  end(hash: string): Promise<boolean>;
}

export function endpointHandles(core: Core): EndpointHandles {
  const opened = async () => {
    await core.ready();
    return core.states.handles;
  };
  return {
    count: async (userKey) => (await opened()).count(userKey),
    list: (page = {}) => {
      const read = async (cursor: string | undefined) =>
        (await opened()).list(pageLimit(page), cursor, page.userKey);
      return walked(page.cursor, read, ({ handles }) => handles);
    },
    get: async (hash) => (await opened()).get(hash),
    end: async (hash) => (await opened()).end(hash),
  };
}
