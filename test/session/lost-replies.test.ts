/**
 * Progress of calls while replies of the store are lost: the events of a stream keep their order, and none comes twice.
 */
import pg from 'pg';
import { z } from 'zod';
import { expect, test } from 'vitest';
import { postgres } from '../../src/stores/postgres/index.ts';
import type { Store } from '../../src/stores/store.ts';
import type { RawClient } from '../kit/raw-client.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { createLab, textOf } from '../kit/lab.ts';
import { serveMember, type Member } from '../kit/fleet.ts';
import { describeWhereInstalled } from '../kit/servers/index.ts';
import { until } from '../kit/until.ts';
import { ownServer, proxied } from '../stores/outages.ts';

const STEPS = 20;
/** Of the call whose replies are lost one by one. */
const FEW_STEPS = 3;
/** Shorter than any reply of the server, so that each is cut in one of the rounds. */
const CUT_STEP_BYTES = 24;
/** More than the server answers on one connection during a call. */
const MOST_BYTES = 400;
/** Longer than `waitMs`: a call may wait for the store that long. */
const ANSWER_MS = 30_000;
const CALLS = Number(process.env['SOJOURN_CALLS'] ?? 12);

const lab = (steps = STEPS) =>
  createLab((server) => {
    server.registerTool('steps', { inputSchema: z.object({}) }, async (_, ctx) => {
      const token = ctx.mcpReq._meta?.progressToken ?? '';
      for (let progress = 1; progress <= steps; progress++) {
        await ctx.mcpReq.notify({ method: 'notifications/progress', params: { progressToken: token, progress } });
        await new Promise((next) => setTimeout(next, 2));
      }
      return { content: [{ type: 'text', text: 'done' }] };
    });
  });

const call = (client: RawClient, id: string): Promise<RawResponse> => {
  const params = { name: 'steps', arguments: {}, _meta: { progressToken: id } };
  return client.post({ jsonrpc: '2.0', id, method: 'tools/call', params });
};

/** The number of a progress message, or how the call ended. */
function shown(message: unknown): unknown {
  const { params, error } = (message ?? {}) as {
    params?: { progress: number };
    error?: { data: { reason: string } };
  };
  return params?.progress ?? error?.data.reason ?? textOf(message ?? {});
}

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
        const response = await call(client, `c${n}`);
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

  test.each(['here', 'at another instance', 'that resumes at another instance'])(
    'whichever reply is lost, progress of 2025-06-18 comes whole and in order, to a client %s',
    async (where) => {
      const server = await ownServer('postgres');
      const { proxy, url } = await proxied(server);
      const member = (): Promise<Member> => serveMember({ store: postgres(url) }, undefined, lab(FEW_STEPS));
      const [owner, other] = [await member(), await member()];
      const opened = owner.client({ timeoutMs: ANSWER_MS });
      await opened.initialize({ protocolVersion: '2025-06-18' });
      const joined = other.join(opened, { timeoutMs: ANSWER_MS });
      const start = proxy.accepted;
      const ends: unknown[] = [];
      for (let bytes = 1; bytes < MOST_BYTES; bytes += CUT_STEP_BYTES) {
        const before = proxy.accepted;
        let isOver = false;
        proxy.cutAfter(bytes);
        const healed = until(() => isOver || proxy.accepted > before, { timeoutMs: ANSWER_MS });
        void healed.then(() => proxy.cutAfter(undefined));
        const responses = [await call(where === 'at another instance' ? joined : opened, `cut-${bytes}`)];
        if (where === 'that resumes at another instance') {
          const [first] = responses as [RawResponse];
          await first.nextMessage();
          first.abort();
          const lastEventId = first.events.findLast(({ id }) => id !== undefined)?.id;
          responses.push(await joined.get({ lastEventId }));
        }
        await responses.at(-1)?.untilEnd();
        isOver = true;
        await healed;
        const said = responses.flatMap(({ events }) => events.flatMap(({ message }) => shown(message) ?? []));
        const end = said.pop();
        ends.push(end);
        // A call with effects that an instance lost has the progress before the loss.
        const whole = Array.from({ length: end === 'done' ? FEW_STEPS : said.length }, (_, n) => n + 1);
        expect(said, `cut after ${bytes} bytes`).toEqual(whole);
        await answers(url);
      }
      expect(new Set(ends)).toEqual(new Set(ends.includes('owner_lost') ? ['done', 'owner_lost'] : ['done']));
      // Connections in place of cut ones, besides the one of `answers` in each round.
      expect(proxy.accepted - start).toBeGreaterThan(ends.length + FEW_STEPS);
    },
    120_000,
  );
});
