/** What `scripts/adopt.mjs` gives each part of `npm run adopt`, and what a part gives back. */
export interface AdoptOptions {
  /** Only the cases whose name contains this text. */
  readonly filter: string | undefined;
  /** Write the result into the docs. Only a run of all cases of the part may write. */
  readonly write: boolean;
  /** Prints one line. */
  out(line: string): void;
}

/** A part prints a line for each of its cases. It resolves with the names of those that failed. */
export type AdoptPart = (options: AdoptOptions) => Promise<string[]>;
