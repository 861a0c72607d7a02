/** What callers share, whichever process they reach: state of users, a key that runs once, a task. */
import { appendFileSync } from 'node:fs';
import { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { once, task, userState } from '../../../dist/index.js';

const text = (value) => ({ content: [{ type: 'text', text: String(value) }] });
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

export default {
  factory: (ctx) => {
    const server = new McpServer({ name: 'shared', version: '1.0.0' });
    server.registerTool('where', { annotations: { readOnlyHint: true } }, () => text(process.pid));
    server.registerTool('visit', {}, async () =>
      text(await userState({ anonymous: 'shared' }).update('n', (n) => (n ?? 0) + 1)),
    );
    server.registerTool('count', {}, async () =>
      text(await ctx.session.state.update('n', (n) => (n ?? 0) + 1)),
    );
    server.registerTool(
      'pay',
      { inputSchema: z.object({ key: z.string() }) },
      once(
        ({ key }) => {
          appendFileSync(process.env.RUNS, `${key}\n`);
          return text(`${key} by ${process.pid}`);
        },
        { key: ({ key }) => key, anonymous: 'shared' },
      ),
    );
    server.registerTool(
      'dig',
      {},
      task(async () => {
        await pause(300);
        return text(`dug by ${process.pid}`);
      }),
    );
    server.registerTool('slow', {}, async () => {
      appendFileSync(process.env.RUNS, 'slow\n');
      await pause(60_000);
      return text('done');
    });
    // Of each 400 ms of its worker it takes 300.
    server.registerTool('toil', {}, async () => {
      const end = performance.now() + 8_000;
      while (performance.now() < end) {
        const until = performance.now() + 300;
        while (performance.now() < until);
        await pause(100);
      }
      return text('toiled');
    });
    return server;
  },
  options: { tasks: true },
};
