/**
 * A server that assumes no more than it may (docs/guide/what-a-server-may-assume.md): what a session needs later is in
 * `session.state`, and the factory reads it.
 *
 *     sojourn serve session-state.ts --store sqlite:./sessions.db
 */
import { McpServer } from '@modelcontextprotocol/server';
import { currentRequest, currentSession, type McpEndpointContext } from 'sojourn';
import { z } from 'zod';

const say = (text: string) => ({ content: [{ type: 'text' as const, text }] });

export default async function factory({
  serverOptions,
  session,
}: McpEndpointContext): Promise<McpServer> {
  const capabilities = { logging: {} };
  const server = new McpServer(
    { name: 'assumes-little', version: '1.0.0' },
    { ...serverOptions, capabilities },
  );

  // A value of one session.
  server.registerTool('visit', {}, async () => {
    const visits = await currentSession()?.state.update('visits', (before = 0) => before + 1);
    return say(visits === undefined ? 'a visit without a session' : `visit ${visits}`);
  });

  // A tool that a call unlocks.
  const erase = server.registerTool('erase', {}, () => say('erased'));
  if ((await session?.state.get('unlocked')) !== true) erase.disable();

  server.registerTool('unlock', {}, async () => {
    if (session === undefined) return say('there is no session to unlock it for');
    await session.state.set('unlocked', true);
    if (!erase.enabled) erase.enable();
    return say('unlocked');
  });

  // A timer.
  const remind = (due: number) => {
    const timer = setTimeout(() => {
      void server.sendLoggingMessage({ level: 'info', data: 'It is time' });
      // If this fails, the client is reminded again after the next restart.
      session?.state.delete('due').catch(() => {});
    }, due - Date.now());
    session?.signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
  };

  // The factory runs again after a restart, and so does this.
  const noted = await session?.state.get<number>('due');
  server.server.oninitialized = () => {
    if (noted !== undefined) remind(noted);
  };

  server.registerTool(
    'remind',
    { inputSchema: z.object({ seconds: z.number() }) },
    async ({ seconds }) => {
      if (session === undefined) return say('there is no session to remind');
      const due = Date.now() + seconds * 1_000;
      await session.state.set('due', due);
      remind(due);
      return say('noted');
    },
  );

  // A header.
  server.registerTool('search', {}, () => {
    const key = currentRequest()?.headers.get('x-api-key'); // of this call
    return say(`searched with ${key ?? 'no key'}`);
  });
  return server;
}
