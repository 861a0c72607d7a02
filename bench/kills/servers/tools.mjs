/** What the tools of every side have in common. RUNS: a file that gets a line for each run with an effect. */
import { appendFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

export const READ_ONLY = { readOnlyHint: true };
export const QUESTION = {
  message: 'Which colour?',
  requestedSchema: {
    type: 'object',
    properties: { colour: { type: 'string' } },
    required: ['colour'],
  },
};
const SLOW_MS = 5_000;

export const ran = (tool, nonce) => appendFileSync(process.env.RUNS, `${tool} ${nonce}\n`);
export const text = (value) => ({ content: [{ type: 'text', text: String(value) }] });

/** The answer of a tool that takes 5 s. */
export async function slowly(nonce) {
  await pause(SLOW_MS);
  return nonce;
}
