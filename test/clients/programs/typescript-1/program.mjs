/** A client with `@modelcontextprotocol/sdk` 1.x; the commands and events are those of ../README.md. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  ElicitRequestSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { obey, tell } from './wire.mjs';

obey(async (actor, { url }) => {
  const session = new Client(
    { name: 'typescript-1', version: '1.0.0' },
    { capabilities: { elicitation: {} } },
  );
  session.setRequestHandler(ElicitRequestSchema, async () => {
    await actor.ask();
    return { action: 'accept', content: { colour: 'blue' } };
  });
  session.setNotificationHandler(ToolListChangedNotificationSchema, ({ method }) => {
    tell('notified', { client: actor.name, method });
  });
  const transport = new StreamableHTTPClientTransport(new URL(url));
  await session.connect(transport);
  const callTool = (params, options) => session.callTool(params, undefined, options);
  return { session, version: transport.protocolVersion, callTool };
});
