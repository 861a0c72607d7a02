export interface PacedCall {
  /** When it was due, on the clock of `performance`. */
  readonly due: number;
  /** Its time since then. */
  readonly ms: number;
}

/** One call after the other, each at its due time or when the previous call has ended, while `goesOn`. */
export async function paced(
  everyMs: number,
  firstMs: number,
  goesOn: (due: number) => boolean,
  run: () => Promise<void>,
): Promise<PacedCall[]> {
  const calls: PacedCall[] = [];
  for (let due = performance.now() + firstMs; goesOn(due); due += everyMs) {
    const early = due - performance.now();
    if (early > 0) await new Promise((done) => void setTimeout(done, early));
    // A timer that fires late is not the server's fault.
    const from = early > 0 ? performance.now() : due;
    await run();
    calls.push({ due, ms: performance.now() - from });
  }
  return calls;
}
