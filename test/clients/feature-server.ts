/**
 * A server with something of every kind, for the official clients to call. `hold` waits until the test says what
 * happens next; the other tools show one thing each.
 */
import {
  acceptedContent,
  completable,
  inputRequired,
  inputResponse,
  McpServer,
  ResourceTemplate,
  type ServerContext,
} from '@modelcontextprotocol/server';
import { z } from 'zod';
import { currentSession, type McpEndpointContext, type McpEndpointOptions, type McpSession } from '../../src/index.ts';
import { faces, serve, type Face } from '../kit/serve.ts';
import { until } from '../kit/until.ts';
import type { Connect, ConnectOptions } from './official.ts';

/** A call of `hold` that waits for the test. */
interface Held {
  readonly ctx: ServerContext;
  readonly session: McpSession | undefined;
  readonly server: McpServer;
  progress(n: number): Promise<void>;
  answer(text: string): void;
}

const add = {
  description: 'Adds two numbers',
  inputSchema: z.object({ a: z.number(), b: z.number() }),
  outputSchema: z.object({ sum: z.number() }),
};
const echo = { inputSchema: z.object({ text: z.string() }) };
const steps = { inputSchema: z.object({ steps: z.int() }) };
const question = { inputSchema: z.object({ question: z.string() }) };
const dinner = { inputSchema: z.object({ restaurant: z.string() }) };
const level = { inputSchema: z.object({ level: z.enum(['debug', 'error']), data: z.string() }) };

const colour = {
  message: 'Which colour?',
  requestedSchema: { type: 'object' as const, properties: { colour: { type: 'string' as const } } },
};
const party = z.object({ guests: z.int() });

const notes = ['alpha', 'beta', 'album'];
const noteTemplate = new ResourceTemplate('note://{name}', {
  list: () => ({ resources: notes.map((name) => ({ uri: `note://${name}`, name })) }),
  complete: { name: (typed) => notes.filter((name) => name.startsWith(typed)) },
});
const review = {
  description: 'Reviews code',
  argsSchema: z.object({
    language: completable(z.string(), (typed) => ['go', 'ruby', 'rust'].filter((name) => name.startsWith(typed))),
  }),
};

const say = (text: string) => ({ content: [{ type: 'text' as const, text }] });

async function count({ steps: total }: { steps: number }, { mcpReq }: ServerContext) {
  const progressToken = mcpReq._meta?.progressToken;
  for (let progress = 1; progress <= total && progressToken !== undefined; progress++) {
    await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total } });
  }
  return say(`counted to ${total}`);
}

/** Asks in the middle of its work, as 2025-era servers do. */
async function askModel({ question: text }: { question: string }, { mcpReq }: ServerContext) {
  const { content } = await mcpReq.requestSampling({
    messages: [{ role: 'user', content: { type: 'text', text } }],
    maxTokens: 10,
  });
  return say(JSON.stringify(content));
}

async function askColour(_: unknown, { mcpReq }: ServerContext) {
  const { action, content } = await mcpReq.elicitInput(colour);
  return say(`${action} ${JSON.stringify(content)}`);
}

async function askVisit(_: unknown, { mcpReq }: ServerContext) {
  const url = 'https://example.com/consent';
  const { action } = await mcpReq.elicitInput({ mode: 'url', message: 'Please visit', url, elicitationId: 'e-1' });
  return say(action);
}

async function showRoots(_: unknown, { mcpReq }: ServerContext) {
  const { roots } = await mcpReq.send({ method: 'roots/list' });
  return say(roots.map(({ uri }) => uri).join(' '));
}

/** Says what it needs and is called again with it: a model, the roots and a form at once, then a confirmation. */
async function book({ restaurant }: { restaurant: string }, call: ServerContext, { requestState }: McpEndpointContext) {
  const { mcpReq } = call;
  const settled = mcpReq.requestState<{ guests: number; dish: string; root: string }>();
  if (settled !== undefined) {
    const confirm = inputResponse(mcpReq.inputResponses, 'confirm');
    const action = confirm.kind === 'elicit' ? confirm.action : confirm.kind;
    return say(`${restaurant} for ${settled.guests}, ${settled.dish}, ${settled.root}: ${action}`);
  }
  const given = acceptedContent(mcpReq.inputResponses, 'party', party);
  const dish = inputResponse(mcpReq.inputResponses, 'dish');
  const roots = inputResponse(mcpReq.inputResponses, 'roots');
  if (given === undefined || dish.kind !== 'sampling' || roots.kind !== 'roots') {
    return inputRequired({
      inputRequests: {
        party: inputRequired.elicit({ message: 'How many?', requestedSchema: party }),
        dish: inputRequired.createMessage({
          messages: [{ role: 'user', content: { type: 'text', text: 'Which dish?' } }],
          maxTokens: 10,
        }),
        roots: inputRequired.listRoots(),
      },
    });
  }
  const { content } = dish.result;
  const text = !Array.isArray(content) && content.type === 'text' ? content.text : 'nothing';
  const state = { guests: given.guests, dish: text, root: roots.roots[0]?.uri ?? 'nowhere' };
  return inputRequired({
    inputRequests: { confirm: inputRequired.elicit({ message: 'Sure?', requestedSchema: z.object({}) }) },
    requestState: await requestState.mint(state, call),
  });
}

const countInState = async () => say(String(await currentSession()?.state.update('count', (n = 0) => n + 1)));

export type FeatureServer = ReturnType<typeof createFeatureServer>;

export function createFeatureServer() {
  const holds: Held[] = [];
  /** The servers that were made, in their order. */
  const made: McpServer[] = [];
  /** How often `notifications/roots/list_changed` came. */
  const rootsChanged: string[] = [];

  const hold = (server: McpServer, ctx: ServerContext) =>
    new Promise<ReturnType<typeof say>>((resolve) => {
      const progressToken = ctx.mcpReq._meta?.progressToken ?? 'none';
      holds.push({
        ctx,
        session: currentSession(),
        server,
        progress: (progress) =>
          ctx.mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress } }),
        answer: (text) => resolve(say(text)),
      });
    });

  const factory = (ctx: McpEndpointContext): McpServer => {
    const server = new McpServer(
      { name: 'features', version: '1.0.0' },
      {
        ...ctx.serverOptions,
        instructions: 'Call anything.',
        capabilities: { logging: {}, resources: { subscribe: true, listChanged: true } },
        requestState: { verify: ctx.requestState.verify },
      },
    );
    made.push(server);
    server.registerTool('add', add, ({ a, b }) => ({ ...say(`${a + b}`), structuredContent: { sum: a + b } }));
    server.registerTool('echo', echo, ({ text }) => say(text));
    server.registerTool('fail', {}, () => {
      throw new Error('This tool fails.');
    });
    server.registerTool('count', steps, count);
    server.registerTool('hold', {}, (call) => hold(server, call));
    server.registerTool('ask-model', question, askModel);
    server.registerTool('ask-colour', {}, (call) => askColour({}, call));
    server.registerTool('ask-visit', {}, (call) => askVisit({}, call));
    server.registerTool('roots', {}, (call) => showRoots({}, call));
    server.registerTool('book', dinner, (args, call) => book(args, call, ctx));
    server.registerTool('log', level, async ({ level: at, data }, { mcpReq }) => {
      await mcpReq.log(at, data, 'features');
      return say('logged');
    });
    server.registerTool('count-in-state', {}, countInState);
    server.registerTool('who', {}, () => say(currentSession()?.id ?? 'no session'));
    const hidden = server.registerTool('hidden', {}, () => say('found'));
    hidden.disable();
    server.registerTool('reveal', {}, () => {
      hidden.enable();
      return say('look again');
    });
    server.registerResource('about', 'features://about', { mimeType: 'text/plain' }, () => ({
      contents: [{ uri: 'features://about', mimeType: 'text/plain', text: 'about' }],
    }));
    server.registerResource('pixel', 'features://pixel', { mimeType: 'image/png' }, () => ({
      contents: [{ uri: 'features://pixel', mimeType: 'image/png', blob: 'AAAA' }],
    }));
    server.registerResource('note', noteTemplate, {}, (uri, { name }) => ({
      contents: [{ uri: uri.href, text: `note ${String(name)}` }],
    }));
    server.registerPrompt('review', review, ({ language }) => ({
      messages: [{ role: 'user', content: { type: 'text', text: `Review this ${language}.` } }],
    }));
    server.server.setRequestHandler('resources/subscribe', () => ({}));
    server.server.setRequestHandler('resources/unsubscribe', () => ({}));
    server.server.setNotificationHandler('notifications/roots/list_changed', () => {
      rootsChanged.push(currentSession()?.id ?? 'no session');
    });
    return server;
  };

  return {
    factory,
    made,
    rootsChanged,
    /** The n-th call of `hold`, from 0, once it runs. */
    held: (n = 0): Promise<Held> => until(() => holds[n] as Held, { what: `call ${n} of hold` }),
  };
}

/** For `describe.each`: each client over each face. */
export const overFaces = (
  clients: ReadonlyArray<readonly [name: string, connect: Connect]>,
): Array<[name: string, face: Face, connect: Connect]> =>
  faces.flatMap((face) => clients.map(([name, connect]): [string, Face, Connect] => [name, face, connect]));

/** A feature server, and a client of it. */
export async function openFeatures(
  face: Face,
  connect: Connect,
  { options, ...behind }: ConnectOptions & { options?: McpEndpointOptions | undefined } = {},
) {
  const features = createFeatureServer();
  const served = await serve(features.factory, { legacySse: true, retryMs: 5, ...options }, { face });
  return { features, served, ...served, ...(await connect(served.url, behind)) };
}
