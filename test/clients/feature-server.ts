/**
 * A server with something of every kind, for the official clients to call: the tools of the lab, and more that show
 * one thing each.
 */
import {
  acceptedContent,
  completable,
  inputRequired,
  inputResponse,
  ResourceTemplate,
  type ServerContext,
} from '@modelcontextprotocol/server';
import { z } from 'zod';
import { currentSession, type McpEndpointContext, type McpEndpointOptions } from '../../src/index.ts';
import { createLab } from '../kit/lab.ts';
import { faces, serve, type Face } from '../kit/serve.ts';
import { said } from '../kit/tool-server.ts';
import type { Connect, ConnectOptions, OfficialClient } from './official.ts';

const add = {
  description: 'Adds two numbers',
  inputSchema: z.object({ a: z.number(), b: z.number() }),
  outputSchema: z.object({ sum: z.number() }),
};
const steps = { inputSchema: z.object({ steps: z.int() }) };
const question = { inputSchema: z.object({ question: z.string() }) };
const dinner = { inputSchema: z.object({ restaurant: z.string() }) };

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

async function count({ steps: total }: { steps: number }, { mcpReq }: ServerContext) {
  const progressToken = mcpReq._meta?.progressToken;
  for (let progress = 1; progress <= total && progressToken !== undefined; progress++) {
    await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total } });
  }
  return said(`counted to ${total}`);
}

/** Asks in the middle of its work, as 2025-era servers do. */
async function askModel({ question: text }: { question: string }, { mcpReq }: ServerContext) {
  const { content } = await mcpReq.requestSampling({
    messages: [{ role: 'user', content: { type: 'text', text } }],
    maxTokens: 10,
  });
  return said(JSON.stringify(content));
}

async function askVisit(_: unknown, { mcpReq }: ServerContext) {
  const url = 'https://example.com/consent';
  const { action } = await mcpReq.elicitInput({ mode: 'url', message: 'Please visit', url, elicitationId: 'e-1' });
  return said(action);
}

async function showRoots(_: unknown, { mcpReq }: ServerContext) {
  const { roots } = await mcpReq.send({ method: 'roots/list' });
  return said(roots.map(({ uri }) => uri).join(' '));
}

/** Says what it needs and is called again with it: a model, the roots and a form at once, then a confirmation. */
async function book({ restaurant }: { restaurant: string }, call: ServerContext, { requestState }: McpEndpointContext) {
  const { mcpReq } = call;
  const settled = mcpReq.requestState<{ guests: number; dish: string; root: string }>();
  if (settled !== undefined) {
    const confirm = inputResponse(mcpReq.inputResponses, 'confirm');
    const action = confirm.kind === 'elicit' ? confirm.action : confirm.kind;
    return said(`${restaurant} for ${settled.guests}, ${settled.dish}, ${settled.root}: ${action}`);
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

export type FeatureServer = ReturnType<typeof createFeatureServer>;

export function createFeatureServer() {
  /** How often `notifications/roots/list_changed` came: the sessions that it came from. */
  const rootsChanged: unknown[] = [];
  const lab = createLab(
    (server, ctx) => {
      server.registerTool('add', add, ({ a, b }) => ({ ...said(`${a + b}`), structuredContent: { sum: a + b } }));
      server.registerTool('fail', {}, () => {
        throw new Error('This tool fails.');
      });
      server.registerTool('steps', steps, count);
      server.registerTool('ask-model', question, askModel);
      server.registerTool('ask-visit', {}, (call) => askVisit({}, call));
      server.registerTool('roots', {}, (call) => showRoots({}, call));
      server.registerTool('book', dinner, (args, call) => book(args, call, ctx));
      const hidden = server.registerTool('hidden', {}, () => said('found'));
      hidden.disable();
      server.registerTool('reveal', {}, () => {
        hidden.enable();
        return said('look again');
      });
      server.registerResource('about', 'features://about', { mimeType: 'text/plain' }, () => ({
        contents: [{ uri: 'features://about', mimeType: 'text/plain', text: 'about' }],
      }));
      server.registerResource('pixel', 'features://pixel', { mimeType: 'image/png' }, () => ({
        contents: [{ uri: 'features://pixel', mimeType: 'image/png', blob: 'AAAA' }],
      }));
      server.registerResource('notes', noteTemplate, {}, (uri, { name }) => ({
        contents: [{ uri: uri.href, text: `note ${String(name)}` }],
      }));
      server.registerPrompt('review', review, ({ language }) => ({
        messages: [{ role: 'user', content: { type: 'text', text: `Review this ${language}.` } }],
      }));
      server.server.setNotificationHandler('notifications/roots/list_changed', () => {
        rootsChanged.push(currentSession()?.id);
      });
    },
    ({ requestState: { verify } }) => ({ instructions: 'Call anything.', requestState: { verify } }),
  );
  return { ...lab, rootsChanged };
}

/** The session in which a client's calls run. */
export async function sessionOf({ say }: OfficialClient): Promise<unknown> {
  return (JSON.parse(await say('who')) as { id?: unknown }).id;
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
