/** What the tools did, by their own account: lines of the effects file, which outlives whoever wrote them. */
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

export interface Effects {
  readonly ran: readonly Ran[];
  readonly wrote: readonly Wrote[];
}

export function readEffects(file: string): Effects {
  const ran: Ran[] = [];
  const wrote: Wrote[] = [];
  for (const text of readFileSync(file, 'utf8').split('\n')) {
    if (text === '') continue;
    const line = JSON.parse(text) as Ran | Wrote;
    if (line.event === 'ran') ran.push(line);
    else wrote.push(line);
  }
  return { ran, wrote };
}
