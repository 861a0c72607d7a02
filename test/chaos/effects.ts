/**
 * What the tools did, by their own account: lines of the effects file, which outlives the processes that wrote them.
 */
import { readFileSync } from 'node:fs';
import type { Ran } from '../simulation/ledger.ts';

/** A run of a tool. `instance`: the start that ran it. */
export interface LiveRan extends Ran {
  readonly event: 'ran';
  readonly run: string;
}

/** A change of `session.state` was acknowledged to the tool (`value`), or refused (`error`). */
export interface Wrote {
  readonly event: 'wrote';
  readonly at: number;
  readonly from: number;
  /** The start of the instance. */
  readonly instance: string;
  readonly nonce: string;
  readonly session: string;
  readonly run: string;
  readonly value?: number;
  readonly error?: string;
}

/** A notification that a user sent to the session of another one was delivered there. */
export interface Trespassed {
  readonly event: 'trespassed';
  readonly at: number;
  readonly instance: string;
  readonly session: string;
}

export interface Effects {
  readonly ran: readonly LiveRan[];
  readonly wrote: readonly Wrote[];
  readonly trespassed: readonly Trespassed[];
}

export function readEffects(file: string): Effects {
  const lines = readFileSync(file, 'utf8').split('\n');
  const all = lines.flatMap((text) =>
    text === '' ? [] : [JSON.parse(text) as LiveRan | Wrote | Trespassed],
  );
  return {
    ran: all.filter((line): line is LiveRan => line.event === 'ran'),
    wrote: all.filter((line): line is Wrote => line.event === 'wrote'),
    trespassed: all.filter((line): line is Trespassed => line.event === 'trespassed'),
  };
}
