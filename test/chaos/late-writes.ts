/** What an owner that was frozen past its lease still tried to write when it woke. */
import type { Effects, Wrote } from './effects.ts';
import { grouped } from './grouped.ts';

export interface Freeze {
  readonly start: string;
  readonly from: number;
  readonly until: number;
}

export interface LateWrite {
  readonly write: Wrote;
  /** Another instance had its session by then, and had written. */
  readonly taken: boolean;
}

/** Writes of tools that ran when their process was frozen, and went on when it woke. */
export function lateWrites({ ran, wrote }: Effects, freezes: readonly Freeze[]): LateWrite[] {
  const began = new Map(ran.map(({ run, at }) => [run, at]));
  const bySession = grouped(wrote, ({ session }) => session);
  return freezes.flatMap(({ start, from, until }) => {
    const late = wrote.filter((one) => one.by === start && one.from >= until && (began.get(one.run) ?? until) < from);
    return late.map((write) => {
      const others = (bySession.get(write.session ?? '') ?? []).filter(
        ({ by, value }) => by !== start && value !== undefined,
      );
      return { write, taken: others.some(({ at }) => at > from && at < write.from) };
    });
  });
}
