/**
 * Tools that need something from the client: its model, its user, its folders. They return what they need with
 * `inputRequired` and are called again with it. A 2026-07-28 client sends it with its next request. For a client of the
 * 2025 era the SDK sends sampling, elicitation and roots requests. The code is the same.
 */
import {
  acceptedContent,
  inputRequired,
  inputResponse,
  type McpServer,
  type RequestStateCodec,
  type ServerContext,
} from '@modelcontextprotocol/server';
import { z } from 'zod';
import { say } from './content.ts';

const askModel = {
  description: "Sampling: the client's model answers a question",
  inputSchema: z.object({ question: z.string() }),
};
const bookTable = {
  description:
    'Several rounds: asks for the party, then for a confirmation, and keeps its place in a sealed state',
  inputSchema: z.object({ restaurant: z.string() }),
};
const profile = z.object({
  name: z.string(),
  colour: z.enum(['red', 'green', 'blue']).default('blue'),
});
const party = z.object({ guests: z.int().min(1).max(20), day: z.string() });
const confirmation = z.object({ confirmed: z.boolean() });

function sample({ question }: { question: string }, ctx: ServerContext) {
  const reply = inputResponse(ctx.mcpReq.inputResponses, 'reply');
  if (reply.kind === 'sampling')
    return say(`The model says: ${JSON.stringify(reply.result.content)}`);
  const messages = [{ role: 'user' as const, content: { type: 'text' as const, text: question } }];
  return inputRequired({
    inputRequests: { reply: inputRequired.createMessage({ messages, maxTokens: 200 }) },
  });
}

function elicitForm(ctx: ServerContext) {
  const reply = inputResponse(ctx.mcpReq.inputResponses, 'profile');
  if (reply.kind === 'elicit' && reply.action !== 'accept')
    return say(`The user chose to ${reply.action}.`);
  const given = acceptedContent(ctx.mcpReq.inputResponses, 'profile', profile);
  if (given) return say(`Hello ${given.name}, ${given.colour} it is.`);
  return inputRequired({
    inputRequests: {
      profile: inputRequired.elicit({ message: 'Who are you?', requestedSchema: profile }),
    },
  });
}

function elicitUrl(ctx: ServerContext) {
  const reply = inputResponse(ctx.mcpReq.inputResponses, 'visit');
  if (reply.kind === 'elicit') return say(`The user chose to ${reply.action}.`);
  const page = { message: 'Please read this page.', url: 'https://modelcontextprotocol.io/' };
  return inputRequired({ inputRequests: { visit: inputRequired.elicitUrl(page) } });
}

function showRoots(ctx: ServerContext) {
  const reply = inputResponse(ctx.mcpReq.inputResponses, 'roots');
  if (reply.kind !== 'roots')
    return inputRequired({ inputRequests: { roots: inputRequired.listRoots() } });
  return say(
    reply.roots.map(({ uri, name }) => (name ? `${name}: ${uri}` : uri)).join('\n') || 'No roots.',
  );
}

/** The party travels through the client: sealed, bound to the user, valid for ten minutes. */
async function book(
  { restaurant }: { restaurant: string },
  ctx: ServerContext,
  { mint }: RequestStateCodec,
) {
  const { inputResponses, requestState } = ctx.mcpReq;
  const booking =
    requestState<z.infer<typeof party>>() ?? acceptedContent(inputResponses, 'party', party);
  if (booking === undefined) {
    const question = inputRequired.elicit({
      message: `A table at ${restaurant}?`,
      requestedSchema: party,
    });
    return inputRequired({ inputRequests: { party: question } });
  }
  const { guests, day } = booking;
  if (inputResponse(inputResponses, 'confirm').kind !== 'elicit') {
    const message = `${restaurant}, ${day}, for ${guests}: shall I book it?`;
    const confirm = inputRequired.elicit({ message, requestedSchema: confirmation });
    return inputRequired({ inputRequests: { confirm }, requestState: await mint(booking, ctx) });
  }
  const agreed = acceptedContent(inputResponses, 'confirm', confirmation)?.confirmed === true;
  return say(agreed ? `Booked: ${restaurant}, ${day}, for ${guests}.` : 'Nothing was booked.');
}

export function registerQuestionTools(server: McpServer, codec: RequestStateCodec): void {
  server.registerTool('ask-model', askModel, sample);
  server.registerTool(
    'ask-user',
    { description: 'Elicitation by form: asks for a name and a colour' },
    elicitForm,
  );
  server.registerTool(
    'ask-user-url',
    { description: 'Elicitation by URL: sends the user to a page' },
    elicitUrl,
  );
  server.registerTool(
    'list-roots',
    { description: 'Roots: the folders that the server may see' },
    showRoots,
  );
  server.registerTool('book-table', bookTable, (args, ctx) => book(args, ctx, codec));
}
