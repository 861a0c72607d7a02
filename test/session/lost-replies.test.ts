/**
 * Progress of calls while replies of the store are lost: the events of a stream keep their order, and none comes twice.
 */
import pg from 'pg';
import { z } from 'zod';
import { expect, test } from 'vitest';
import { postgres } from '../../src/stores/postgres/index.ts';
import type { Store } from '../../src/stores/store.ts';
import { createLab } from '../kit/lab.ts';
import { serveMember } from '../kit/fleet.ts';
import { describeWhereInstalled } from '../kit/servers/index.ts';
import { ownServer, proxied } from '../stores/outages.ts';

const STEPS = 20;
/** Longer than `waitMs`: a call may wait for the store that long. */
const ANSWER_MS = 30_000;
const CALLS = Number(process.env['SOJOURN_CALLS'] ?? 12);

const lab = () =>
  createLab((server) => {
    server.registerTool('steps', { inputSchema: z.object({}) }, async (_, ctx) => {
      const token = ctx.mcpReq._meta?.progressToken ?? '';
      for (let progress = 1; progress <= STEPS; progress++) {
        await ctx.mcpReq.notify({ method: 'notifications/progress', params: { progressToken: token, progress } });
        await new Promise((next) => setTimeout(next, 2));
      }
      return { content: [] };
    });
  });

/** Resolves when the server has answered a new connection. On a busy machine that takes longer than any fixed time. */
async function answers(url: string): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  await client.query('SELECT 1');
  await client.end();
}

describeWhereInstalled('postgres', 'while replies of PostgreSQL are lost', () => {
  test.each([
    ['2025-06-18', 'here'],
    ['2025-06-18', 'at another instance'],
  ])(
    'progress of %s keeps its order on its stream, to a client %s',
    async (protocolVersion, where) => {
      const server = await ownServer('postgres');
      const { proxy, url } = await proxied(server);
      const store = (): Store => postgres(url);
      const [owner, other] = [
        await serveMember({ store: store() }, undefined, lab()),
        await serveMember({ store: store() }, undefined, lab()),
      ];
      const opened = owner.client({ timeoutMs: ANSWER_MS });
      await opened.initialize({ protocolVersion });
      const client = where === 'here' ? opened : other.join(opened, { timeoutMs: ANSWER_MS });
      const before = proxy.accepted;
      let rounds = 0;
      let stopped = false;
      const faults = (async () => {
        for (; !stopped; rounds++) {
          proxy.cutAfter(40 + ((rounds * 37) % 400));
          await new Promise((next) => setTimeout(next, 30));
          proxy.cutAfter(undefined);
          await answers(url);
          await new Promise((next) => setTimeout(next, 60));
        }
      })();
      const wrong: unknown[] = [];
      let seen = 0;
      for (let n = 0; n < CALLS; n++) {
        const params = { name: 'steps', arguments: {}, _meta: { progressToken: `t${n}` } };
        const response = await client.post({ jsonrpc: '2.0', id: `c${n}`, method: 'tools/call', params });
        const came: number[] = [];
        try {
          for (;;) {
            const message = (await response.nextMessage()) as { params?: { progress?: number }; id?: unknown };
            if (message.params?.progress !== undefined) came.push(message.params.progress);
            else break;
          }
        } catch {
          // The stream ended early: its client would resume.
        }
        seen += came.length;
        if (came.some((progress, i) => i > 0 && progress <= (came[i - 1] ?? 0))) wrong.push([n, came]);
      }
      stopped = true;
      await faults;
      proxy.heal();
      expect(wrong).toEqual([]);
      expect(seen).toBeGreaterThan((CALLS * STEPS) / 2);
      // Replies were lost, so the instances connected again besides the connection of each round.
      expect(proxy.accepted - before).toBeGreaterThan(rounds);
      if (process.env['SOJOURN_CALLS'] !== undefined)
        console.info(`${seen} of ${CALLS * STEPS}, ${proxy.accepted - before} connections`);
    },
    120_000,
  );
});
