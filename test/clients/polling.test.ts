/** Clients whose call is answered by polling: they come back at each interval and get the result. */
import { createServer } from 'node:http';
import { expect, onTestFinished, test } from 'vitest';
import { createMcpEndpoint, currentSession, enablePolling } from '../../src/index.ts';
import { createLog } from '../kit/log.ts';
import { said, toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { OtherProgram } from './other-client.ts';
import { others } from './other-list.ts';
import { listening } from '../kit/listening.ts';

/** More than any client tries after a stream that broke. */
const POLLS = 8;
const POLL_MS = 50;

/** An endpoint whose tool `slow` answers after so many polls of its client. */
async function servePolled() {
  const polls = new Map<string, number>();
  const pollsOf = (session = currentSession()?.id ?? ''): number => polls.get(session) ?? 0;
  const factory = toolServer({
    slow: async () => {
      if (!enablePolling({ retryMs: POLL_MS })) return said('cannot poll');
      const session = currentSession()?.id;
      await until(() => pollsOf(session) >= POLLS);
      return said('polled');
    },
  });
  const endpoint = createMcpEndpoint(factory, { logger: createLog() });
  const http = createServer((req, res) => {
    const { 'last-event-id': lastEventId, 'mcp-session-id': session } = req.headers;
    if (req.method === 'GET' && lastEventId !== undefined) polls.set(String(session), pollsOf(String(session)) + 1);
    endpoint.node(req, res);
  });
  return `${await listening(http, () => endpoint.close())}/mcp`;
}

for (const { title, command, missing } of others.filter(({ era }) => era === '2025')) {
  const reason = missing === undefined ? '' : ` (${missing})`;
  test.skipIf(missing !== undefined)(`${title}: gets the result after ${POLLS} polls${reason}`, async () => {
    const url = await servePolled();
    const program = new OtherProgram(command);
    onTestFinished(() => program.close());
    const client = await program.connect(url, '2025', 120_000);
    expect(await client.call('slow', {}, 'polled')).toBe('ok');
    expect(await client.call('slow', {}, 'polled')).toBe('ok');
    expect(await client.close()).toBe('ok');
  });
}
