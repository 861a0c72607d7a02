/**
 * The owners to which calls of other instances' sessions were sent last, and the users of those sessions. Saves a read
 * of the store per call: an owner that has just sent a message knows better than the record whether it still owns the
 * session, and refuses the call if not.
 */
import { BoundedMap } from '../../base/bounded-map.ts';
import type { Links } from '../../cluster/links.ts';

/** Past this number of sessions the oldest entry is dropped. */
const KEPT = 10_000;

export class KnownOwners {
  readonly #links: Pick<Links, 'heardRecently'>;
  readonly #owners = new BoundedMap<string, { readonly owner: string; readonly user: string | undefined }>(KEPT);

  constructor(links: Pick<Links, 'heardRecently'>) {
    this.#links = links;
  }

  /** The owner of a user's session, if this instance has just heard from that owner. */
  of(sessionId: string, user: string | undefined): string | undefined {
    const known = this.#owners.get(sessionId);
    return known?.user === user && known !== undefined && this.#links.heardRecently(known.owner)
      ? known.owner
      : undefined;
  }

  learn(sessionId: string, owner: string, user: string | undefined): void {
    const known = this.#owners.get(sessionId);
    if (known?.owner === owner && known.user === user) return;
    this.#owners.set(sessionId, { owner, user });
  }

  forget(sessionId: string): void {
    this.#owners.delete(sessionId);
  }
}
