/** The log of a record, as readers and the next owner find it. */

/** An event with its position in its stream: the owner numbers events 0, 1, 2 … per stream, across epochs. */
export interface LoggedEvent {
  readonly offset: number;
  /** JSON text of one message; `''` is a priming event. */
  readonly data: string;
}

export type ReplayOutcome =
  | {
      readonly found: true;
      readonly events: readonly LoggedEvent[];
      readonly next: number;
      readonly complete: boolean;
    }
  /**
   * Retention dropped events after that offset. `first`: the oldest offset from which every event is kept, or the
   * length of an open stream of which nothing is kept. With `first` a reader can continue after the gap.
   */
  | { readonly found: false; readonly why: 'gap'; readonly first?: number }
  /** The stream does not exist, or does not exist any more. */
  | { readonly found: false; readonly why: 'unknown' };

/** A stream that is not complete, for the next owner. */
export interface OpenStream {
  readonly stream: string;
  readonly next: number;
  /** The text of its first append; `null`: none given. */
  readonly note: string | null;
}
