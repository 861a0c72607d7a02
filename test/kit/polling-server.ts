/**
 * Servers with the habit of FastMCP: `connect()` connects the SDK's server, and then asks up to ten times who its
 * client is, with a pause after each time. One tool, `hello`.
 */
import { createRequire } from 'node:module';
import { McpServer, Server, type Transport } from '@modelcontextprotocol/server';
import { Server as ServerV1 } from '@modelcontextprotocol/sdk/server/index.js';
import { McpServer as McpServerV1 } from '@modelcontextprotocol/sdk/server/mcp.js';
import { CallToolRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import type { ConnectableServer, McpEndpointContext, McpEndpointFactory } from '../../src/index.ts';
import { said } from './tool-server.ts';

const POLLS = 10;
const PAUSE_MS = 100;

interface Asked {
  getClientCapabilities(): unknown;
}

export class Polls {
  /** What each `connect()` found; `undefined`: it gave up. */
  readonly found: unknown[] = [];
  readonly #pause: () => Promise<unknown> | undefined;
  /** The `connect()`s that run. */
  readonly #running = new Set<Promise<void>>();

  constructor(pause: () => Promise<unknown> | undefined = () => new Promise((done) => setTimeout(done, PAUSE_MS))) {
    this.#pause = pause;
  }

  async poll(server: Asked): Promise<void> {
    const polling = this.#poll(server);
    this.#running.add(polling);
    await polling.finally(() => this.#running.delete(polling));
  }

  async #poll(server: Asked): Promise<void> {
    for (let n = 0; n < POLLS; n++) {
      const found = server.getClientCapabilities();
      if (found !== undefined) return void this.found.push(found);
      await this.#pause();
    }
    this.found.push(undefined);
  }

  /** Resolves when no `connect()` runs. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#running);
  }
}

type Options = Pick<McpEndpointContext, 'serverOptions'>;
type Make = (polls: Polls) => (ctx: Options) => ConnectableServer;

const info = { name: 'polling', version: '1.0.0' };
const Other = createRequire(import.meta.url)('@modelcontextprotocol/server') as { McpServer: typeof McpServer };

const highLevel =
  (Class: typeof McpServer): Make =>
  (polls) =>
  ({ serverOptions }) => {
    const server = new Class(info, serverOptions);
    server.registerTool('hello', {}, () => said('hello'));
    const connect = server.connect.bind(server);
    server.connect = async (transport) => {
      await connect(transport);
      await polls.poll(server.server);
    };
    return server;
  };

const capabilities = { tools: {} };

function lowLevelV1(): ServerV1 {
  const server = new ServerV1(info, { capabilities });
  server.setRequestHandler(CallToolRequestSchema, () => said('hello'));
  return server;
}

function lowLevel(server = new Server(info, { capabilities })): Server {
  server.setRequestHandler('tools/call', () => said('hello'));
  return server;
}

/** As FastMCP: the server is made in `connect()`, in a private field. */
class Session {
  readonly #polls: Polls;
  readonly #make: () => ServerV1 | Server;
  #server: ServerV1 | Server | undefined = undefined;

  constructor(polls: Polls, make: () => ServerV1 | Server) {
    this.#polls = polls;
    this.#make = make;
  }

  async connect(transport: Transport): Promise<void> {
    this.#server = this.#make();
    await this.#server.connect(transport);
    await this.#polls.poll(this.#server);
  }

  async close(): Promise<void> {
    await this.#server?.close();
  }
}

export const POLLING: Readonly<Record<string, Make>> = {
  'an McpServer': highLevel(McpServer),
  'an McpServer of another copy': highLevel(Other.McpServer),
  // The two versions register a tool in the same way.
  'an McpServer of SDK 1': highLevel(McpServerV1 as unknown as typeof McpServer),
  'a subclass of Server': (polls) => {
    class Polling extends Server {
      override async connect(transport: Transport): Promise<void> {
        await super.connect(transport);
        await polls.poll(this);
      }
    }
    return ({ serverOptions }) => lowLevel(new Polling(info, { ...serverOptions, capabilities }));
  },
  'an object that hides a Server of SDK 1': (polls) => () => new Session(polls, lowLevelV1),
  'an object that hides a Server': (polls) => () => new Session(polls, lowLevel),
};

/** One server for all sessions. */
export const onePolling = (polls: Polls): ConnectableServer => highLevel(McpServer)(polls)({ serverOptions: {} });

export const polling = (name: string, polls: Polls): McpEndpointFactory => (POLLING[name] as Make)(polls);
