/**
 * Work of minutes for clients of the 2025 era: one tool starts it, another reports its status. `session.state` keeps
 * the job over a restart, and the next `report_status` starts the work again. Where it must not run twice, use a job
 * queue, and keep the id of the job here. A 2026-07-28 client has no session: use `task()`, or your own database.
 *
 *     npx tsx server.ts
 */
import { randomUUID } from 'node:crypto';
import { McpServer } from '@modelcontextprotocol/server';
import { createMcpEndpoint, currentSession } from 'sojourn';
import { sqlite } from 'sojourn/sqlite';
import { z } from 'zod';
import { makeReport } from './report.ts';

const { PORT = '3000', DATABASE = './sessions.db' } = process.env;

interface Job {
  topic: string;
  /** What it came to. A state holds 256 KiB: keep large results elsewhere. */
  text?: string;
}
type State = NonNullable<ReturnType<typeof currentSession>>['state'];

const say = (text: string) => ({ content: [{ type: 'text' as const, text }] });
const running = new Set<string>(); // jobs of this process

async function work(state: State, id: string, job: Job): Promise<void> {
  running.add(id);
  const text = await makeReport(job.topic).catch((error: Error) => `failed: ${error.message}`);
  await state.set(id, { ...job, text }).catch(() => {}); // the session may have moved to another process
  running.delete(id);
}

const server = new McpServer({ name: 'reports', version: '1.0.0' });
const start = { description: 'Starts a report', inputSchema: z.object({ topic: z.string() }) };
server.registerTool('start_report', start, async ({ topic }) => {
  const session = currentSession();
  if (session === undefined) return say('This client has no session.');
  const id = randomUUID();
  await session.state.set(id, { topic });
  void work(session.state, id, { topic });
  return say(`Call report_status with the id ${id} in half a minute.`);
});
const status = {
  description: 'Says what became of a report',
  inputSchema: z.object({ id: z.string() }),
  annotations: { readOnlyHint: true },
};
server.registerTool('report_status', status, async ({ id }) => {
  const state = currentSession()?.state;
  const job = await state?.get<Job>(id);
  if (state === undefined || job === undefined) return say('There is no such report.');
  if (job.text === undefined && !running.has(id)) void work(state, id, job); // the process before has ended
  return say(job.text ?? 'still working');
});

const endpoint = createMcpEndpoint(server, { store: sqlite(DATABASE) });
console.log((await endpoint.listen({ port: Number(PORT) })).url);
