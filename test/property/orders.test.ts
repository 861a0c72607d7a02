/**
 * Messages of one session in any order. Every request has the right status, and every accepted request has its answer
 * or the end of its stream, wherever its client was. Nothing remains at the end.
 */
import type { ServerContext } from '@modelcontextprotocol/server';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { faces, serve } from '../kit/serve.ts';
import { said, toolServer } from '../kit/tool-server.ts';
import { isMatrix } from '../kit/matrix.ts';
import { LIMIT, operation, Walk } from './walk.ts';

const RUNS = isMatrix ? 100 : 20;

/** Tools that wait for the test, and the arguments they were called with. */
function holding() {
  const waiting = new Map<string, () => void>();
  const hold = async (args: Record<string, unknown>, _ctx: ServerContext) => {
    await new Promise<void>((release) => waiting.set(String(args['id']), release));
    return said('released');
  };
  return { waiting, hold };
}

describe.each(faces)('over %s', (face) => {
  test.each(['2025-03-26', '2025-06-18', '2025-11-25'])('in a session of %s', { timeout: 60_000 }, async (version) => {
    const { waiting, hold } = holding();
    const served = await serve(
      toolServer({
        hold,
        ask: async (_args, ctx) => {
          const { action } = await ctx.mcpReq.elicitInput({
            message: '?',
            requestedSchema: { type: 'object', properties: {} },
          });
          return said(action);
        },
        echo: (args) => said(JSON.stringify(args)),
        chatty: async (_args, ctx) => {
          await ctx.mcpReq.log('error', 'one');
          await new Promise((later) => setImmediate(later));
          await ctx.mcpReq.log('error', 'two');
          return said('three');
        },
        fail: () => {
          throw new Error('on purpose');
        },
      }),
      { limits: { requestsPerSession: LIMIT }, waitMs: 0 },
      { face },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { minLength: 3, maxLength: 30, size: 'max' }), async (operations) => {
        const client = served.client({ timeoutMs: 15_000 });
        await client.initialize({ protocolVersion: version, capabilities: { elicitation: {} } });
        const walk = new Walk(client, served.endpoint, waiting, version);
        try {
          for (const one of operations) await walk.step(one);
          await walk.delete();
        } finally {
          // A failed walk must not affect the shorter walks that are tried after it.
          await client.delete();
          client.close();
        }
        expect(served.endpoint.sessions.count).toBe(0);
      }),
      { numRuns: RUNS },
    );
    const errors = served.log.lines.filter(({ level }) => level === 'error');
    expect(errors).toEqual([]);
  });
});
