/** An endpoint with a client that has opened a session at it; the same cases on each face. */
import type { McpServer } from '@modelcontextprotocol/server';
import {
  currentSession,
  type ConnectableServer,
  type McpEndpointFactory,
  type McpEndpointOptions,
  type State,
} from '../../src/index.ts';
import { createLab, type Lab } from './lab.ts';
import type { InitializeOptions, RawClient } from './raw-client.ts';
import { faces, serve, type Served, type ServeSettings } from './serve.ts';
import { said, toolServer } from './tool-server.ts';

export interface Session extends Served {
  /** The client of the session. */
  readonly one: RawClient;
}

export interface LabSession extends Session {
  readonly lab: Lab;
  /** The server of the session. */
  readonly server: McpServer;
  /** Logs to the client, outside of any request. */
  say(data: unknown): Promise<void>;
}

/** A new session and its `session.state`, in the hands of a test. */
export async function stateOf(
  options: McpEndpointOptions,
): Promise<Session & { readonly state: State }> {
  let state: State | undefined;
  const keep = () => {
    state = currentSession()?.state;
    return said('here');
  };
  const opened = await session(toolServer({ keep }), options);
  await opened.one.call('tools/call', { name: 'keep', arguments: {} });
  if (state === undefined) throw new Error('no state');
  return { ...opened, state };
}

export const openState = async (options: McpEndpointOptions): Promise<State> =>
  (await stateOf(options)).state;

export async function session(
  server: McpEndpointFactory | ConnectableServer,
  options?: McpEndpointOptions,
  handshake?: InitializeOptions,
  settings?: ServeSettings,
): Promise<Session> {
  const served = await serve(server, options, settings);
  return { ...served, one: await served.openSession(handshake) };
}

/** A session at the server of a lab. */
export async function inLab(
  options?: McpEndpointOptions,
  handshake?: InitializeOptions,
  settings?: ServeSettings,
): Promise<LabSession> {
  const lab = createLab();
  const opened = await session(lab.factory, options, handshake, settings);
  const server = lab.made.at(-1)?.server as McpServer;
  return {
    ...opened,
    lab,
    server,
    say: (data) => server.server.sendLoggingMessage({ level: 'error', data }),
  };
}

/** For `describe.each(perFace)('over $face', ({ serve, session, inLab }) => …)`: these functions, of one face. */
export const perFace = faces.map((face) => ({
  face,
  serve: (
    server: McpEndpointFactory | ConnectableServer,
    options?: McpEndpointOptions,
    settings?: Omit<ServeSettings, 'face'>,
  ) => serve(server, options, { ...settings, face }),
  session: (
    server: McpEndpointFactory | ConnectableServer,
    options?: McpEndpointOptions,
    handshake?: InitializeOptions,
    settings?: Omit<ServeSettings, 'face'>,
  ) => session(server, options, handshake, { ...settings, face }),
  inLab: (
    options?: McpEndpointOptions,
    handshake?: InitializeOptions,
    settings?: Omit<ServeSettings, 'face'>,
  ) => inLab(options, handshake, { ...settings, face }),
}));
