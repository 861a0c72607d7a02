/** The users that keep most in the store, for people who look after it. */
import { keptText, userName } from '../../base/shown.ts';
import type { EndpointStore } from './record-kinds.ts';
import { isEnded } from '../../stores/store.ts';

const SHOWN = 10;

export interface KeptByUser {
  /** The share as records name it. */
  readonly share: string;
  /** Absent: an address, or no record names the user. */
  readonly user?: string;
  readonly bytes: number;
}

export async function keptMost(store: EndpointStore): Promise<readonly KeptByUser[]> {
  const { shares } = await store.kept.byAll(SHOWN);
  return Promise.all(
    shares.map(async (one) => {
      const user = await userOf(store, one.share);
      return { ...one, ...(user !== undefined && { user: keptText(userName(user)) }) };
    }),
  );
}

/** A record of the share says whose it is. */
async function userOf(
  { sessions, tasks, once }: EndpointStore,
  share: string,
): Promise<string | undefined> {
  for (const records of [sessions, tasks, once]) {
    const [id] = await records.oldest(share, 1);
    const found = id === undefined ? undefined : await records.read(id);
    if (found !== undefined && !isEnded(found) && found.user !== null) return found.user;
  }
  return undefined;
}
