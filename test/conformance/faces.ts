/** The two ways into an endpoint, each behind a real socket on a free port. */
import { serve } from '@hono/node-server';
import type { McpEndpoint } from '../../src/index.ts';

export interface Served {
  url: string;
  close(): Promise<void>;
}

export const faces = {
  node: (endpoint: McpEndpoint): Promise<Served> => endpoint.listen({ port: 0 }),

  fetch: (endpoint: McpEndpoint): Promise<Served> =>
    new Promise((resolve) => {
      const server = serve(
        { fetch: (request) => endpoint.fetch(request), port: 0, hostname: '127.0.0.1' },
        ({ port }) =>
          resolve({
            url: `http://127.0.0.1:${port}/mcp`,
            close: () => new Promise((closed) => void server.close(() => closed())),
          }),
      );
    }),
};
