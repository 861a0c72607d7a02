/**
 * A client without a GET stream that makes its server ask it, without end. What questions hold is charged:
 * `test/limits/rows.ts`, and given back: `test/session/calls/questions.test.ts`.
 */
import { McpServer } from '@modelcontextprotocol/server';
import { McpServer as McpServerV1 } from '@modelcontextprotocol/sdk/server/mcp.js';
import { expect, test } from 'vitest';
import { z } from 'zod';
import type { McpEndpointContext } from '../../src/index.ts';
import { createFakeTime } from '../../src/testing/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { tool } from '../kit/lab.ts';
import { isMatrix } from '../kit/matrix.ts';
import { serve } from '../kit/serve.ts';
import { said } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { BUDGET, hasWholeBudget } from './aborts.ts';

const QUESTIONS = isMatrix ? 10_000 : 100;
const MOST_WAITING = 16;
const WAIT = 5_000;

const tables = (server: McpServer): number =>
  Object.values(server.server).reduce((sum: number, member) => sum + (member instanceof Map ? member.size : 0), 0);

async function asking(line: 'v1' | 'v2') {
  const time = createFakeTime();
  const servers: McpServer[] = [];
  const outcomes = { refused: 0, others: 0 };
  const factory = (ctx: McpEndpointContext): McpServer => {
    const info = { name: 'asking', version: '1' };
    const server = (line === 'v1' ? new McpServerV1(info) : new McpServer(info, ctx.serverOptions)) as McpServer;
    servers.push(server);
    const inputSchema = z.object({ times: z.number(), text: z.string() });
    server.registerTool('ask', { inputSchema }, ({ times, text }) => {
      for (let n = 0; n < times; n++) {
        server.server
          .elicitInput({ message: text, requestedSchema: { type: 'object', properties: {} } })
          .catch(({ code }: { code: unknown }) => (outcomes[code === 'NO_STREAM' ? 'refused' : 'others'] += 1));
      }
      return said('asked');
    });
    return server;
  };
  // No stream of a POST carries a question.
  const limits = { memoryBytes: BUDGET, userShare: 1 };
  const served = await serve(factory, { timeProvider: time, responseMode: 'json', limits });
  const open = async (): Promise<RawClient> => {
    const client = await served.openSession({ capabilities: { elicitation: { form: {} } } });
    return client;
  };
  const waiting = (): number => served.log.matching(/waits for a stream to its client/, 'debug').length;
  return { ...served, time, servers, outcomes, open, waiting };
}

test.each(['v1', 'v2'] as const)('the questions of a %s server leave nothing, and sixteen wait', async (line) => {
  const { open, servers, outcomes, waiting, time, port, log } = await asking(line);
  const client = await open();
  const [server] = servers as [McpServer];
  const before = tables(server);
  const timers = time.pendingTimers;
  await client.call(...tool('ask', { times: QUESTIONS, text: 'x' }));
  await until(() => outcomes.refused === QUESTIONS - MOST_WAITING);
  // Each has a timer.
  expect([waiting(), time.pendingTimers - timers]).toEqual([MOST_WAITING, MOST_WAITING]);
  await time.advance(WAIT);
  await until(() => outcomes.refused === QUESTIONS);
  // One wait: later ones are refused at once.
  await client.call(...tool('ask', { times: QUESTIONS, text: 'x' }));
  await until(() => outcomes.refused === 2 * QUESTIONS);
  expect(waiting()).toBeLessThanOrEqual(MOST_WAITING);
  expect([outcomes.others, tables(server) - before, time.pendingTimers - timers]).toEqual([0, 0, 0]);
  expect(log.lines.filter(({ level }) => level !== 'debug' && level !== 'info')).toEqual([]);
  await until(() => hasWholeBudget(port, {}));
});
