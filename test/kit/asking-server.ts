/** A server with tools that need input before they can answer (multi round-trip requests). */
import {
  acceptedContent,
  inputRequired,
  McpServer,
  type ServerContext,
} from '@modelcontextprotocol/server';
import { z } from 'zod';
import type { McpEndpointContext } from '../../src/index.ts';

const named = z.object({ name: z.string() });

/** `greet` requests a name and seals its arguments; `visit` sends the user to a page. */
export function createAskingServer(ctx: McpEndpointContext): McpServer {
  const { requestState } = ctx;
  const server = new McpServer(
    { name: 'asking', version: '1.0.0' },
    { requestState: { verify: requestState.verify } },
  );
  const greet = async (word: string, c: ServerContext) => {
    const state = c.mcpReq.requestState<{ word: string }>();
    const given = acceptedContent(c.mcpReq.inputResponses, 'who', named);
    if (state !== undefined && given !== undefined) {
      return { content: [{ type: 'text' as const, text: `${state.word}, ${given.name}` }] };
    }
    return inputRequired({
      inputRequests: {
        who: inputRequired.elicit({ message: 'Who is there?', requestedSchema: named }),
      },
      requestState: await requestState.mint({ word }, c),
    });
  };
  server.registerTool('greet', { inputSchema: z.object({ word: z.string() }) }, ({ word }, c) =>
    greet(word, c),
  );
  server.registerTool('visit', {}, () =>
    inputRequired({
      inputRequests: {
        page: inputRequired.elicitUrl({ message: 'Sign', url: 'https://a.example' }),
      },
    }),
  );
  return server;
}
