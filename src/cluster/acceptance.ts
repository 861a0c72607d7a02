/**
 * Whether the instances that were here before this one accept its messages. Until then it is not ready, so that a
 * rollout with a wrong key stops at its first instance.
 *
 *     waiting ──half of those that still live have answered, or none is left──▶ accepted, for good
 *
 * The leases are read before this instance announces its own. So of two instances that refuse each other only the later
 * one waits. Half suffices: one faulty instance stops no rollout, and in a rollout the new instances, which accept each
 * other, are fewer than the old ones. A peer that crashed or froze has no lease soon, and counts no more.
 */
import type { InstanceStore } from '../stores/store.ts';
import type { Links } from './links.ts';

/** Peers that are asked. */
const ASKED = 32;

export class Acceptance {
  readonly #links: Links;
  readonly #directory: Pick<InstanceStore, 'list'>;
  #waitsFor: readonly string[] = [];
  #rounds = 0;

  constructor(links: Links, directory: Pick<InstanceStore, 'list'>) {
    this.#links = links;
    this.#directory = directory;
  }

  /** Call it before this instance is announced. @throws StoreAway */
  async read(): Promise<void> {
    this.#waitsFor = (await this.#directory.list()).slice(0, ASKED).map(({ id }) => id);
  }

  get accepted(): boolean {
    const living = this.#waitsFor.filter((id) => !this.#links.isDead(id));
    const answered = living.filter((id) => this.#links.wasAnswered(id));
    if (2 * answered.length >= living.length) this.#waitsFor = [];
    return this.#waitsFor.length === 0;
  }

  /** Asks those that have not answered. Call it when this instance is announced, and with each renewal. */
  ask(): void {
    if (this.accepted) return;
    this.#rounds += 1;
    // A frozen peer receives messages until its lease runs out.
    if (this.#rounds > 1) for (const id of this.#waitsFor) void this.#links.suspect(id);
    for (const id of this.#waitsFor) {
      if (this.#links.wasAnswered(id)) continue;
      this.#links.to(id)?.probe();
    }
  }
}
