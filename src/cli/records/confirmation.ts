/** A question before a command does what cannot be taken back. */
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

/** What a command prints to, and whom it asks. */
export interface Terminal {
  out(text: string): void;
  /** Whether the answer to a question is yes. */
  confirms(question: string): Promise<boolean>;
}

const YES = /^y(?:es)?$/i;

/** Whether the next line of `input` says yes. The end of it says no. */
export async function confirms(question: string, input: Readable, ask: (text: string) => void): Promise<boolean> {
  ask(question);
  const lines = createInterface({ input });
  try {
    for await (const line of lines) return YES.test(line.trim());
    return false;
  } finally {
    lines.close();
  }
}
