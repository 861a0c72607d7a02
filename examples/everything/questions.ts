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

const askModel = {
  description: "Sampling: the client's model answers a question",
  inputSchema: z.object({ question: z.string() }),
};
const askUser = { description: 'Elicitation by form: asks the user for a name and a colour' };
const askUrl = { description: 'Elicitation by URL: sends the user to a page' };
const listRoots = { description: 'Roots: which folders the client lets the server see' };
const bookTable = {
  description: 'Several rounds: asks for the party, then for a confirmation, and keeps its place in a sealed state',
  inputSchema: z.object({ restaurant: z.string() }),
};

const profile = z.object({ name: z.string(), colour: z.enum(['red', 'green', 'blue']).default('blue') });
const party = z.object({ guests: z.int().min(1).max(20), day: z.string() });
const confirmation = z.object({ confirmed: z.boolean() });

const say = (text: string) => ({ content: [{ type: 'text' as const, text }] });

function sample({ question }: { question: string }, ctx: ServerContext) {
  const reply = inputResponse(ctx.mcpReq.inputResponses, 'reply');
  if (reply.kind === 'sampling') return say(`The model says: ${JSON.stringify(reply.result.content)}`);
  return inputRequired({
    inputRequests: {
      reply: inputRequired.createMessage({
        messages: [{ role: 'user', content: { type: 'text', text: question } }],
        maxTokens: 200,
      }),
    },
  });
}

function elicitForm(ctx: ServerContext) {
  const reply = inputResponse(ctx.mcpReq.inputResponses, 'profile');
  if (reply.kind === 'elicit' && reply.action !== 'accept') return say(`The user chose to ${reply.action}.`);
  const given = acceptedContent(ctx.mcpReq.inputResponses, 'profile', profile);
  if (given) return say(`Hello ${given.name}, ${given.colour} it is.`);
  return inputRequired({
    inputRequests: { profile: inputRequired.elicit({ message: 'Who are you?', requestedSchema: profile }) },
  });
}

function elicitUrl(ctx: ServerContext) {
  const reply = inputResponse(ctx.mcpReq.inputResponses, 'visit');
  if (reply.kind === 'elicit') return say(`The user chose to ${reply.action}.`);
  return inputRequired({
    inputRequests: {
      visit: inputRequired.elicitUrl({ message: 'Please read this page.', url: 'https://modelcontextprotocol.io/' }),
    },
  });
}

function showRoots(ctx: ServerContext) {
  const reply = inputResponse(ctx.mcpReq.inputResponses, 'roots');
  if (reply.kind !== 'roots') return inputRequired({ inputRequests: { roots: inputRequired.listRoots() } });
  return say(reply.roots.map(({ uri, name }) => (name ? `${name}: ${uri}` : uri)).join('\n') || 'No roots.');
}

/** The answers so far. They travel through the client: sealed, bound to the user, valid for ten minutes. */
interface Booking {
  guests: number;
  day: string;
}

async function book({ restaurant }: { restaurant: string }, ctx: ServerContext, { mint }: RequestStateCodec) {
  const settled = ctx.mcpReq.requestState<Booking>();
  if (settled === undefined) {
    const given = acceptedContent(ctx.mcpReq.inputResponses, 'party', party);
    if (given === undefined) {
      const question = inputRequired.elicit({ message: `A table at ${restaurant}?`, requestedSchema: party });
      return inputRequired({ inputRequests: { party: question } });
    }
    return askConfirmation(restaurant, given, await mint(given, ctx));
  }
  const reply = inputResponse(ctx.mcpReq.inputResponses, 'confirm');
  if (reply.kind !== 'elicit') return askConfirmation(restaurant, settled, await mint(settled, ctx));
  const agreed = acceptedContent(ctx.mcpReq.inputResponses, 'confirm', confirmation)?.confirmed === true;
  return say(agreed ? `Booked: ${restaurant}, ${settled.day}, for ${settled.guests}.` : 'Nothing was booked.');
}

function askConfirmation(restaurant: string, { guests, day }: Booking, requestState: string) {
  const message = `${restaurant}, ${day}, for ${guests}: shall I book it?`;
  const confirm = inputRequired.elicit({ message, requestedSchema: confirmation });
  return inputRequired({ inputRequests: { confirm }, requestState });
}

export function registerQuestionTools(server: McpServer, codec: RequestStateCodec): void {
  server.registerTool('ask-model', askModel, sample);
  server.registerTool('ask-user', askUser, elicitForm);
  server.registerTool('ask-user-url', askUrl, elicitUrl);
  server.registerTool('list-roots', listRoots, showRoots);
  server.registerTool('book-table', bookTable, (args, ctx) => book(args, ctx, codec));
}
