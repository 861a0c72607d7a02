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

/** A list by what its members have in common; those without it are left out. */
export function grouped<T>(list: readonly T[], key: (one: T) => string | undefined): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const one of list) {
    const of = key(one);
    if (of === undefined) continue;
    const group = groups.get(of);
    if (group === undefined) groups.set(of, [one]);
    else group.push(one);
  }
  return groups;
}
