/** The server for the official conformance suite, with everything that the suite calls by name. */
import { randomBytes } from 'node:crypto';
import {
  createRequestStateCodec,
  McpServer,
  type McpRequestContext,
  type McpServerOptions,
  type RequestStateCodec,
  type ServerNotifier,
} from '@modelcontextprotocol/server';
import { registerContentTools } from '../conformance/fixture/content-tools.ts';
import { registerMrtrTools } from '../conformance/fixture/mrtr-tools.ts';
import { registerPrompts } from '../conformance/fixture/prompts.ts';
import { registerPushTools } from '../conformance/fixture/push-tools.ts';
import { registerResources } from '../conformance/fixture/resources.ts';
import { registerStreamTools } from '../conformance/fixture/stream-tools.ts';
import { registerTaskTools } from '../conformance/fixture/task-tools.ts';

/** Fits sojourn's factory context and the SDK's own, because both serve the fixture. */
export type FixtureContext = McpRequestContext & {
  serverOptions?: McpServerOptions;
  requestState?: RequestStateCodec;
};

const ownCodec = createRequestStateCodec({ key: randomBytes(32) });

/** @param notifier where the `test_trigger_*` tools publish, once the endpoint exists: `() => endpoint.notify` */
export function createFixtureServer(
  ctx: FixtureContext,
  notifier: () => Partial<ServerNotifier> = () => ({}),
): McpServer {
  const codec = ctx.requestState ?? ownCodec;
  const server = new McpServer(
    { name: 'sojourn-conformance-fixture', version: '1.0.0' },
    {
      ...ctx.serverOptions,
      capabilities: { logging: {}, resources: { subscribe: true, listChanged: true } },
      requestState: { verify: codec.verify },
    },
  );
  registerContentTools(server);
  registerStreamTools(server, notifier);
  registerPushTools(server);
  registerMrtrTools(server, codec);
  registerTaskTools(server);
  registerResources(server);
  registerPrompts(server);
  return server;
}
