/** The log lines about calls of `once()` that did not run their handler. */
import { expect, test } from 'vitest';
import { z } from 'zod';
import { once, RUNS_ONCE } from '../../src/once/index.ts';
import { createLab, tool } from '../kit/lab.ts';
import { hashOf, type Log } from '../kit/log.ts';
import { callModern } from '../kit/modern.ts';
import { serve, userHeader } from '../kit/serve.ts';
import { said } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';

const HEADERS = { headers: { 'x-user': 'ada' } };
const LINE = /^A call that runs once/;

/** A tool whose handler waits for `go`, and answers with `size` characters. */
async function open() {
  let go!: () => void;
  const gone = new Promise<void>((resolve) => (go = resolve));
  let runs = 0;
  const lab = createLab((server) => {
    const pay = once(
      async ({ size }: { id: string; size: number }) => {
        runs += 1;
        await gone;
        return said('x'.repeat(size));
      },
      { key: ({ id }) => id },
    );
    const inputSchema = z.object({ id: z.string(), size: z.number() });
    server.registerTool('pay', { inputSchema, _meta: RUNS_ONCE }, pay);
  });
  const served = await serve(lab.factory, {}, { face: 'node', auth: userHeader });
  return { ...served, go, ran: () => until(() => runs > 0) };
}

const lines = (log: Log): unknown[] =>
  log.matching(LINE).map(({ level, message, fields }) => [level, message, fields['tool'], fields['sessionId']]);

test.each(['2026-07-28', 'a session'])(
  'in %s each call that did not run its handler has a line, without its key',
  async (era) => {
    const { client, log, go, ran } = await open();
    const one = client(HEADERS);
    if (era === 'a session') await one.initialize();
    const pay = (args: { id: string; size: number }) =>
      era === 'a session'
        ? one.call(...tool('pay', args))
        : callModern(one, 'tools/call', { name: 'pay', arguments: args });
    const first = pay({ id: 'secret-key', size: 1 });
    await ran();
    const attached = pay({ id: 'secret-key', size: 1 });
    await pay({ id: 'secret-key', size: 2 });
    go();
    await Promise.all([first, attached]);
    await pay({ id: 'secret-key', size: 1 });
    for (let n = 0; n < 2; n++) await pay({ id: 'secret-large', size: 300_000 });
    const sessionId = era === 'a session' ? hashOf(one.sessionId) : undefined;
    const line = (level: string, text: string): unknown[] => [level, expect.stringContaining(text), 'pay', sessionId];
    expect(lines(log)).toEqual([
      line('warn', 'an earlier call with its key had other arguments'),
      line('debug', 'got the outcome of a run that it waited for'),
      line('debug', 'got the outcome of an earlier call'),
      line('warn', 'an earlier call with its key may have run'),
    ]);
    expect(JSON.stringify(log.lines)).not.toContain('secret-');
  },
);
