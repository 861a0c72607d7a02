/**
 * The place of a run among those of its instance, and what it holds in the memory budget, until the run is over and its
 * handler has settled. A later run has its room before its task is claimed: a claim would be given back, and be tried
 * again by each sweep.
 */
import { TEXT_WEIGHT } from '../records/owned-records.ts';
import { BODY_WEIGHT, CALL_BYTES } from '../../http/body.ts';
import type { Budget, MemoryUse } from '../../base/budget.ts';
import { bytesOfText } from '../../base/protocol/json-size.ts';
import type { StoredRecord } from '../../stores/store.ts';

const TEXT_BYTES = 1_024;

/** What a text with a name takes in memory. */
export const heldBytes = (name: string, text: string): number =>
  TEXT_WEIGHT * (name.length + text.length) + TEXT_BYTES;

/** What texts with names take. */
export const heldByAll = (texts: Iterable<readonly [string, string]>): number =>
  Array.from(texts).reduce((sum, [name, text]) => sum + heldBytes(name, text), 0);

/** What a run takes that begins with a stored task, besides what earlier runs have recorded. */
export const laterRunBytes = ({ body, fields }: StoredRecord): number =>
  CALL_BYTES +
  body.length * BODY_WEIGHT +
  bytesOfText(body, Infinity) +
  heldByAll(Object.entries(fields));

/** The run of a task, as the task and its parts see it. */
export interface StoppableRun {
  readonly signal: AbortSignal;
  /** What its handler still does is not recorded. */
  readonly isOver: boolean;
  readonly isParked: boolean;
  readonly room: RunRoom;
  stop(reason: string): void;
  /** The time of its task is over. */
  expire(): void;
}

export class RunRoom {
  readonly #places: Budget;
  readonly #memory: MemoryUse;
  /** Whose share it counts in. */
  readonly share: string;
  #bytes = 0;
  #hasPlace = false;

  constructor(places: Budget, memory: MemoryUse, share: string) {
    this.#places = places;
    this.#memory = memory;
    this.share = share;
  }

  /** `false`: there is no place. */
  enter(): boolean {
    return (this.#hasPlace = this.#places.take(1, this.share));
  }

  /** `false`: there is no room, and nothing was charged. */
  take(bytes: number): boolean {
    if (!this.#hasPlace) return true;
    if (!this.#memory.take(bytes, this.#bytes, this.share)) return false;
    this.#bytes += bytes;
    return true;
  }

  /** Charges what is held already, or gives it back. */
  charge(bytes: number): void {
    if (!this.#hasPlace) return;
    this.#memory.charge(bytes, this.share);
    this.#bytes += bytes;
  }

  /** Everything is given back, and nothing more is charged. */
  leave(): void {
    if (!this.#hasPlace) return;
    this.charge(-this.#bytes);
    this.#places.charge(-1, this.share);
    this.#hasPlace = false;
  }
}
