/**
 * The one tool of the demo, the same on both sides. It stores the number that its client sends, so a call that runs
 * twice changes nothing the second time: `idempotentHint` is true.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { fromJsonSchema, McpServer } from '@modelcontextprotocol/server';

/** So long each call works, so that calls run at any moment. */
const WORK_MS = 100;

/**
 * Stores `number` and returns what was stored before; 0 at first. A late repetition of an earlier call lowers nothing.
 */
export type StoreNumber = (number: number) => number | Promise<number>;

/** A client without a session keeps its number itself, so nothing is stored for it. */
export const storeNothing: StoreNumber = (number) => number - 1;

const inputSchema = fromJsonSchema<{ number: number }>({
  type: 'object',
  properties: { number: { type: 'integer', minimum: 1 } },
  required: ['number'],
});

export function createCounter(store: StoreNumber, options: object = {}): McpServer {
  const server = new McpServer({ name: 'counter', version: '1.0.0' }, options);
  const about = { description: 'Stores the number of the call', annotations: { idempotentHint: true }, inputSchema };
  server.registerTool('count', about, async ({ number }) => {
    await delay(WORK_MS);
    const before = await store(number);
    // The client raises its number by one after each answer, so a gap means that the session lost its state.
    const isGap = number > before + 1;
    const text = isGap ? `the session has ${before}, and the call has ${number}` : `${number}`;
    return { content: [{ type: 'text', text }], isError: isGap };
  });
  return server;
}
