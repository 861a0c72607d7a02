/**
 * What the tools did, by their own account: lines of the effects file, which outlives the processes that wrote them.
 */
import { readFileSync } from 'node:fs';

interface Line {
  readonly at: number;
  /** The start of the instance. */
  readonly by: string;
  readonly nonce: string;
  readonly session: string | undefined;
  /** The run of the tool. */
  readonly run: string;
}

export interface Ran extends Line {
  readonly event: 'ran';
  readonly tool: string;
}

/** A change of `session.state` was acknowledged to the tool (`value`), or refused (`error`). */
export interface Wrote extends Line {
  readonly event: 'wrote';
  readonly from: number;
  readonly value?: number;
  readonly error?: string;
}

/** What a process holds after a collection, in bytes: noted when it gets SIGUSR2. */
interface Held {
  readonly event: 'held';
  readonly bytes: number;
}

export interface Effects {
  readonly ran: readonly Ran[];
  readonly wrote: readonly Wrote[];
  readonly held: readonly Held[];
}

export function readEffects(file: string): Effects {
  const ran: Ran[] = [];
  const wrote: Wrote[] = [];
  const held: Held[] = [];
  for (const text of readFileSync(file, 'utf8').split('\n')) {
    if (text === '') continue;
    const line = JSON.parse(text) as Ran | Wrote | Held;
    if (line.event === 'ran') ran.push(line);
    else if (line.event === 'wrote') wrote.push(line);
    else held.push(line);
  }
  return { ran, wrote, held };
}
