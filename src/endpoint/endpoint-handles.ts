/** `endpoint.handles`: the handles of the deployment, for the application. */
import type { HandlePage } from '../durable/state/handles.ts';
import type { HandleInfo } from '../base/types.ts';
import type { Core } from './core.ts';
import { pagedList, pageLimit, type PagedList, type PageRequest } from './sessions.ts';

/**
 * The handles of the deployment, from any instance. Each method rejects with `STORE_UNAVAILABLE`
 * where the store stays away.
 * @experimental
 */
export interface EndpointHandles {
  /** How many there are: all, or those of one user. */
  count(userKey?: string): Promise<number>;
  /** Page by page or one by one. */
  list(page?: PageRequest): PagedList<HandlePage, HandleInfo>;
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
  const readPage = async (page: PageRequest): Promise<HandlePage> =>
    (await opened()).list(pageLimit(page), page.cursor, page.userKey);
  return {
    count: async (userKey) => (await opened()).count(userKey),
    list: (page = {}) => pagedList(page, readPage, ({ handles }) => handles),
    get: async (hash) => (await opened()).get(hash),
    end: async (hash) => (await opened()).end(hash),
  };
}
