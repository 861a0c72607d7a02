/**
 * The one tool of the demo, the same on both sides. It stores the number that its client sends, so a call that runs
 * twice changes nothing the second time: `idempotentHint` is true.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { fromJsonSchema, McpServer } from '@modelcontextprotocol/server';

/** So long each call works, so that calls run at any moment. */
const WORK_MS = 100;

const inputSchema = fromJsonSchema({
  type: 'object',
  properties: { number: { type: 'integer', minimum: 1 } },
  required: ['number'],
});

/** `store(number)` resolves with what was stored before. A client without a session keeps its number itself. */
export function createCounter(store = async (number) => number - 1, options = {}) {
  const server = new McpServer({ name: 'counter', version: '1.0.0' }, options);
  const about = {
    description: 'Stores the number of the call',
    annotations: { idempotentHint: true },
    inputSchema,
  };
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

/** A process of the demo ends with its parent, however that dies: the pipe between them closes. */
export function endWithParent() {
  process.stdin.on('close', () => process.exit(1)).resume();
}
