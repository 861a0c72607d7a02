/** `stdioServer()`: a factory for `createMcpEndpoint`, whose servers forward to children on stdio. */
import type { Server } from '@modelcontextprotocol/server';
import type { McpEndpointContext } from '../base/types.ts';
import { Gateway } from './gateway.ts';
import type { Described } from './probe.ts';
import type { StdioLogger } from './program.ts';
import { checkStdioOptions, type StdioOptions } from './stdio-options.ts';

export interface StdioServer {
  (ctx: McpEndpointContext): Promise<Server>;
  /**
   * Starts a child and asks it what the program is. Rejects if it does not start: `message` says
   * how it ended, and `stderr` has what it wrote last.
   */
  probe(): Promise<Described>;
  /** Stops all children. Call it after `endpoint.close()`. */
  close(): Promise<void>;
  /** Children that live now, places for children, and places that wait for room. */
  figures(): Gateway['figures'];
}

const SILENT: StdioLogger = { info() {}, warn() {}, debug() {} };
const NAME = '';

/**
 * Serves a program that speaks MCP on stdio: `createMcpEndpoint(stdioServer({ command, args }))`.
 * @throws TypeError or RangeError (code `OPTION_INVALID`) for an option that is wrong.
 * @experimental
 */
export function stdioServer(options: StdioOptions): StdioServer {
  const checked = checkStdioOptions(options);
  const gateway = new Gateway(new Map([[NAME, checked]]), options.logger ?? SILENT);
  const factory = (ctx: McpEndpointContext): Promise<Server> => gateway.server(ctx);
  return Object.assign(factory, {
    async probe() {
      const found = await gateway.probe().get(NAME);
      if (found instanceof Error) throw found;
      return found as Described;
    },
    close: () => gateway.close(),
    figures: () => gateway.figures,
  });
}
