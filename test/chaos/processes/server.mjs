/**
 * What every instance of a chaos run serves. Each tool appends a line to the effects file when it runs, in one write:
 * the file outlives a process that is killed, and says what happened when a client's answer does not.
 */
import { AsyncResource } from 'node:async_hooks';
import { subscribe } from 'node:diagnostics_channel';
import { openSync, writeSync } from 'node:fs';
import {
  createRequestStateCodec,
  inputRequired,
  inputResponse,
  McpServer,
} from '@modelcontextprotocol/server';
import { z } from 'zod';
import { currentSession } from '../../../dist/index.js';

const {
  INSTANCE: instance,
  EFFECTS: effects,
  SENTINEL: sentinel,
  ASK_MS: askMs = '4000',
  SERVERS,
} = process.env;
const file = openSync(effects, 'a');
/** The clock that the clients use too: of this machine, and it never goes back. */
const now = () => performance.timeOrigin + performance.now();
const note = (line) => writeSync(file, `${JSON.stringify({ at: now(), instance, ...line })}\n`);

/** The process that started it holds the other end: it does not outlive a run that was killed. */
process.stdin
  .on('end', () => process.exit(1))
  .resume()
  .unref();

/** Who asks, as a middleware in front would find out: here everybody is who they say they are. */
subscribe('http.server.request.start', ({ request }) => {
  const sub = request.headers['x-user'];
  if (sub !== undefined)
    request.auth = { token: '', clientId: 'chaos', scopes: [], extra: { sub } };
});

const pause = (ms) => (ms > 0 ? new Promise((done) => setTimeout(done, ms)) : Promise.resolve());
/** Runs what belongs to no request, and so to the session's GET stream. */
const outside = AsyncResource.bind((work) => work());
const inputSchema = z.object({ nonce: z.string(), ms: z.number().default(0) });
/** How often a slow tool tells its progress. */
const STEPS = 5;

let servers = 0;
let runs = 0;
/** What each session's server has pushed on this instance. */
const pushes = new WeakMap();

/** A URL names no sentinel: the store is made of a client then. */
const options = sentinel === undefined ? {} : { store: await behindSentinel(Number(sentinel)) };

async function behindSentinel(port) {
  const { createSentinel } = await import('redis');
  const { redis } = await import('sojourn-redis');
  return redis(createSentinel({ name: 'ours', sentinelRootNodes: [{ host: '127.0.0.1', port }] }));
}

/** A definition has no context. What it keeps of a session, it keeps by the session. */
export default SERVERS === 'definition'
  ? {
      server: createServer({ requestState: createRequestStateCodec({ key: 'k'.repeat(32) }) }),
      options,
    }
  : { factory: createServer, options };

function createServer(ctx) {
  const sessionNow = () => ctx.session ?? currentSession();
  const server = new McpServer(
    { name: 'chaos', version: '1.0.0' },
    {
      ...ctx.serverOptions,
      capabilities: { resources: { subscribe: true } },
      requestState: { verify: ctx.requestState.verify },
    },
  );
  server.server.setNotificationHandler('notifications/roots/list_changed', ({ params }) => {
    if (params?._meta?.by !== undefined)
      note({ event: 'trespassed', session: sessionNow()?.id ?? '', by: params._meta.by });
  });
  const register = (tool, annotations, work) =>
    server.registerTool(tool, { annotations, inputSchema }, async (args, call) => {
      const run = `${instance}/${(runs += 1)}`;
      note({ event: 'ran', tool, nonce: args.nonce, session: sessionNow()?.id ?? '', run });
      const value = await work({ ...args, run }, call);
      // An answer of the SDK's own is passed on as it is.
      return typeof value === 'object' ? value : { content: [], structuredContent: { value, run } };
    });

  register('effect', {}, async ({ nonce, ms }) => (await pause(ms), nonce));
  register('read', { readOnlyHint: true }, async ({ nonce, ms }) => (await pause(ms), nonce));

  register('count', {}, async ({ nonce, ms, run }) => {
    await pause(ms);
    const from = now();
    const session = sessionNow();
    const written = (line) =>
      note({ event: 'wrote', nonce, session: session.id, run, from, ...line });
    try {
      const value = await session.state.update('count', (count = 0) => count + 1);
      written({ value });
      return value;
    } catch (error) {
      written({ error: String(error) });
      throw error;
    }
  });
  register(
    'peek',
    { readOnlyHint: true },
    async () => (await sessionNow().state.get('count')) ?? 0,
  );

  register('ask', {}, async ({ nonce }, { mcpReq }) => {
    const requestedSchema = { type: 'object', properties: { answer: { type: 'string' } } };
    const { content } = await mcpReq.elicitInput(
      { message: nonce, requestedSchema },
      { timeout: Number(askMs) },
    );
    return content.answer;
  });

  /** 2026-07-28: what it needs travels through the client, and comes to whichever instance is next. */
  register('confirm', {}, async ({ nonce }, call) => {
    const sealed = call.mcpReq.requestState();
    const reply = inputResponse(call.mcpReq.inputResponses, 'reply');
    if (sealed !== undefined && reply.kind === 'elicit')
      return sealed.nonce === nonce ? reply.content?.answer : `sealed for ${sealed.nonce}`;
    const question = inputRequired.elicit({
      message: nonce,
      requestedSchema: z.object({ answer: z.string() }),
    });
    const requestState = await ctx.requestState.mint({ nonce }, call);
    return inputRequired({ inputRequests: { reply: question }, requestState });
  });

  const slow = async ({ nonce, ms, run }, { mcpReq }) => {
    const progressToken = mcpReq._meta?.progressToken;
    for (let progress = 1; progress <= STEPS; progress++) {
      const params = { progressToken, progress, total: STEPS, message: `${nonce} ${run}` };
      if (progressToken !== undefined)
        await mcpReq.notify({ method: 'notifications/progress', params });
      await pause(ms / STEPS);
    }
    return nonce;
  };
  register('slow', { idempotentHint: true }, slow);
  register('slowOnce', {}, slow);

  register('push', {}, async ({ nonce }) => {
    const session = sessionNow();
    if (!pushes.has(session))
      pushes.set(session, { server: `${instance}:${(servers += 1)}`, n: 0 });
    const last = pushes.get(session);
    const pushed = { uri: `sim://${nonce}`, _meta: { server: last.server, n: (last.n += 1) } };
    await outside(() => session.server.server.sendResourceUpdated(pushed));
    return nonce;
  });
  return server;
}
