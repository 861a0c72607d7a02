/**
 * Servers with the habit of FastMCP: `connect()` connects the SDK's server, and then asks up to ten times who its
 * client is, with a pause after each time. One tool, `hello`.
 */
import { McpServer, Server, type Transport } from '@modelcontextprotocol/server';
import { Server as ServerV1 } from '@modelcontextprotocol/sdk/server/index.js';
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

  constructor(
    pause: () => Promise<unknown> | undefined = () =>
      new Promise((done) => setTimeout(done, PAUSE_MS)),
  ) {
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

const capabilities = { tools: {} };

const highLevel: Make =
  (polls) =>
  ({ serverOptions }) => {
    const server = new McpServer(info, serverOptions);
    server.registerTool('hello', {}, () => said('hello'));
    const connect = server.connect.bind(server);
    server.connect = async (transport) => {
      await connect(transport);
      await polls.poll(server.server);
    };
    return server;
  };

const ofSubclass: Make = (polls) => {
  class Polling extends Server {
    override async connect(transport: Transport): Promise<void> {
      await super.connect(transport);
      await polls.poll(this);
    }
  }
  return ({ serverOptions }) => {
    const server = new Polling(info, { ...serverOptions, capabilities });
    server.setRequestHandler('tools/call', () => said('hello'));
    return server;
  };
};

/** As FastMCP: the server is made in `connect()`, and no one else sees it. */
const hiding: Make = (polls) => () => {
  let made: ServerV1 | undefined;
  return {
    connect: async (transport) => {
      made = new ServerV1(info, { capabilities });
      made.setRequestHandler(CallToolRequestSchema, () => said('hello'));
      await made.connect(transport);
      await polls.poll(made);
    },
    close: async () => made?.close(),
  };
};

export const POLLING: Readonly<Record<string, Make>> = {
  'an McpServer': highLevel,
  'a subclass of Server': ofSubclass,
  'an object that hides a Server of SDK 1': hiding,
};

/** One server for all sessions. */
export const onePolling = (polls: Polls): ConnectableServer =>
  highLevel(polls)({ serverOptions: {} });

export const polling = (name: string, polls: Polls): McpEndpointFactory =>
  (POLLING[name] as Make)(polls);
