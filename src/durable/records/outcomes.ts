/**
 * How records of a kind end that no store forgets early: tasks, keys of `once()`. A long outcome is a record of the kind
 * `results`, so that it can be forgotten before its time; the ended record names it, and has a short one for that case.
 * An outcome that finds no room is replaced by the short one, which is never refused.
 */
import { base64url, elapse, type RandomSource } from '../../base/system.ts';
import { findsNoRoom } from '../../base/errors.ts';
import type { KeptLimits } from '../../stores/quota/kept-limits.ts';
import {
  type EndOutcome,
  type FoundRecord,
  isEnded,
  RECORD_VERSION,
  type Records,
  type Seen,
  UNOWNED,
} from '../../stores/store.ts';
import type { TimeProvider } from '../../base/types.ts';

/** A longer outcome is stored apart. */
const LONG_BYTES = 65_536;
/** The long one is there as long as the record that names it. */
const SLACK_MS = 60_000;
const NAME_BYTES = 16;
const FIELD = 'json';
/**
 * A store can be full for a moment, for instance by what others are sending to it. An outcome of a user that has little
 * is tried so often, with so long between.
 */
const TRIES = 5;
const AGAIN_MS = 200;

/** How a record ends. Tries of one end pass the same object. */
export interface Ending {
  /** Whose share it counts in. */
  readonly share: string | null;
  /** Takes the place of the outcome where that finds no room, or is forgotten. */
  readonly short: string;
}

export class Outcomes {
  readonly #results: Records;
  readonly #limits: KeptLimits;
  readonly #time: Required<TimeProvider>;
  readonly #random: RandomSource;
  /** The long outcomes that are stored, by the ends that are tried with them. */
  readonly #stored = new WeakMap<Ending, string>();

  constructor(
    results: Records,
    limits: KeptLimits,
    time: Required<TimeProvider>,
    random: RandomSource,
  ) {
    this.#results = results;
    this.#limits = limits;
    this.#time = time;
    this.#random = random;
  }

  /** Never throws `STORE_FULL`. */
  async end(
    records: Records,
    id: string,
    from: Seen,
    outcome: string,
    keepMs: number,
    ending: Ending,
  ): Promise<EndOutcome> {
    const { share, short } = ending;
    const whole = async (): Promise<EndOutcome> => {
      if (Buffer.byteLength(outcome) <= LONG_BYTES) return records.end(id, from, outcome, keepMs);
      return records.end(id, from, short, keepMs, await this.#storeLong(outcome, keepMs, ending));
    };
    for (let tries = 1; ; tries++) {
      try {
        const ended = await whole();
        if (ended !== 'ended') await this.#forget(ending);
        return ended;
      } catch (cause) {
        if (!findsNoRoom(cause)) throw cause;
        if (tries === TRIES || !this.#limits.hasLittle(share ?? '')) break;
        await elapse(this.#time, AGAIN_MS);
      }
    }
    await this.#forget(ending);
    return records.end(id, from, short, keepMs);
  }

  /** With the whole outcome, while that is kept. */
  async whole(found: FoundRecord): Promise<FoundRecord> {
    if (found === undefined || !isEnded(found) || found.apart === undefined) return found;
    const long = await this.#results.read(found.apart);
    const outcome = long === undefined || isEnded(long) ? undefined : long.fields[FIELD];
    return outcome === undefined ? found : { ...found, outcome };
  }

  /** First the outcome, then the end: where the reply to an earlier end was lost, the record names what that stored. */
  async #storeLong(outcome: string, keepMs: number, ending: Ending): Promise<string> {
    const known = this.#stored.get(ending);
    if (known !== undefined) return known;
    const id = base64url(this.#random(NAME_BYTES));
    const at = this.#time.now();
    const texts = { head: '', body: '', fields: { [FIELD]: outcome } };
    const { share } = ending;
    const record = {
      v: RECORD_VERSION,
      id,
      ...UNOWNED,
      user: null,
      share,
      ...texts,
      createdAt: at,
      stamp: at,
    };
    await this.#results.create(record, keepMs + SLACK_MS);
    this.#stored.set(ending, id);
    return id;
  }

  /** Where the store is away it stays until it expires. */
  async #forget(ending: Ending): Promise<void> {
    const id = this.#stored.get(ending);
    this.#stored.delete(ending);
    if (id !== undefined)
      await (async () => this.#results.end(id, UNOWNED, '', 0))().catch(() => undefined);
  }
}
