/**
 * Progress of calls while replies of the store are lost: the events of a stream keep their order, and none comes twice.
 */
import { z } from 'zod';
import { expect, test } from 'vitest';
import { postgres } from '../../src/stores/postgres/index.ts';
import type { Store } from '../../src/stores/store.ts';
import { createLab } from '../kit/lab.ts';
import { serveMember } from '../kit/fleet.ts';
import { describeWhereInstalled } from '../kit/servers/index.ts';
import { ownServer, proxied } from '../stores/outages.ts';

const STEPS = 20;
const CALLS = Number(process.env['SOJOURN_CALLS'] ?? 20);

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
      const opened = owner.client();
      await opened.initialize({ protocolVersion });
      const client = where === 'here' ? opened : other.join(opened);
      const before = proxy.accepted;
      let stopped = false;
      const faults = (async () => {
        for (let n = 0; !stopped; n++) {
          proxy.cutAfter(40 + ((n * 37) % 400));
          await new Promise((next) => setTimeout(next, 30));
          proxy.cutAfter(undefined);
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
      // Replies were lost.
      expect(proxy.accepted).toBeGreaterThan(before);
      if (process.env['SOJOURN_CALLS'] !== undefined)
        console.info(`${seen} of ${CALLS * STEPS}, ${proxy.accepted - before} connections`);
    },
    120_000,
  );
});
