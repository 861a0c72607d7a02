/** The tools on the second line of the SDK. */
import { acceptedContent, inputRequired, McpServer } from '@modelcontextprotocol/server';
import * as z from 'zod';
import { QUESTION, ran, READ_ONLY, slowly, text } from './tools.mjs';

const inputSchema = z.object({ nonce: z.string(), handle: z.string().optional() });
const colour = z.object({ colour: z.string() });

/** `count` resolves with a number, and with a handle where the client must pass one; `undefined`: it keeps nothing. */
export function buildServer({ hasSession, serverOptions, count }) {
  const server = new McpServer({ name: 'kills', version: '1.0.0' }, { ...serverOptions });
  server.registerTool('echo', { inputSchema, annotations: READ_ONLY }, ({ nonce }) => text(nonce));
  server.registerTool('slow', { inputSchema, annotations: READ_ONLY }, async ({ nonce }) =>
    text(await slowly(nonce)),
  );
  server.registerTool('count', { inputSchema }, async ({ nonce, handle }) => {
    ran('count', nonce);
    return text(count === undefined ? '' : await count(handle));
  });
  server.registerTool('ask', { inputSchema }, async ({ nonce }, { mcpReq }) => {
    const given = hasSession
      ? (await mcpReq.elicitInput(QUESTION)).content
      : acceptedContent(mcpReq.inputResponses, 'colour', colour);
    if (given === undefined)
      return inputRequired({ inputRequests: { colour: inputRequired.elicit(QUESTION) } });
    ran('ask', nonce);
    return text(given.colour);
  });
  return server;
}
