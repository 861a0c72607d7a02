/**
 * Where sessions of other instances were live when a call last reached them, and whose they are. It saves a read of the
 * store per call: an owner that has just sent something knows better than the record whether it still owns the session, and
 * refuses the call if not.
 */
import type { Instance } from '../../cluster/instance.ts';

/** Past this many sessions the entry that was learnt first is forgotten. */
const KEPT = 10_000;

export class KnownOwners {
  readonly #instance: Pick<Instance, 'heardRecently'>;
  readonly #owners = new Map<string, { readonly owner: string; readonly user: string | undefined }>();

  constructor(instance: Pick<Instance, 'heardRecently'>) {
    this.#instance = instance;
  }

  /** The owner of a user's session, if this instance has just heard from that owner. */
  of(sessionId: string, user: string | undefined): string | undefined {
    const known = this.#owners.get(sessionId);
    return known?.user === user && known !== undefined && this.#instance.heardRecently(known.owner)
      ? known.owner
      : undefined;
  }

  learn(sessionId: string, owner: string, user: string | undefined): void {
    const known = this.#owners.get(sessionId);
    if (known?.owner === owner && known.user === user) return;
    this.#owners.set(sessionId, { owner, user });
    if (this.#owners.size <= KEPT) return;
    const [oldest] = this.#owners.keys();
    if (oldest !== undefined) this.#owners.delete(oldest);
  }

  forget(sessionId: string): void {
    this.#owners.delete(sessionId);
  }
}
