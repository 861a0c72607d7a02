/** A client with `@modelcontextprotocol/client` 2.x; the commands and events are those of ../README.md. */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { obey, tell } from './wire.mjs';

obey(async (actor, { url, era }) => {
  const identity = { name: 'typescript-2', version: '1.0.0' };
  const mode = era === '2025' ? 'legacy' : 'auto';
  const session = new Client(identity, {
    capabilities: { elicitation: { form: {} } },
    versionNegotiation: { mode },
  });
  session.setRequestHandler('elicitation/create', async () => {
    await actor.ask();
    return { action: 'accept', content: { colour: 'blue' } };
  });
  session.setNotificationHandler('notifications/tools/list_changed', ({ method }) => {
    tell('notified', { client: actor.name, method });
  });
  await session.connect(new StreamableHTTPClientTransport(new URL(url)));
  const callTool = (params, options) => session.callTool(params, options);
  return { session, version: session.getNegotiatedProtocolVersion(), callTool };
});
