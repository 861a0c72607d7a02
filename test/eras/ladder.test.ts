/** The order of the steps of each way in, as the hooks of an application and the refusals of its clients show it. */
import { describe, expect, onTestFinished, test } from 'vitest';
import type { AroundRequest, AuthOptions, McpEndpointOptions } from '../../src/index.ts';
import type { RawClient } from '../kit/raw-client.ts';
import { openSse } from '../kit/legacy-sse.ts';
import { toolCall } from '../kit/lab.ts';
import { callModern } from '../kit/modern.ts';
import { serve } from '../kit/serve.ts';
import { said } from '../kit/tool-server.ts';
import { turns, until } from '../kit/until.ts';
import { gate } from '../kit/watched-store.ts';
import { z } from 'zod';
import { McpServer, type ScopeChallengeHandler } from '@modelcontextprotocol/server';
import { bearer } from '../kit/issuer.ts';

interface Way {
  readonly options: McpEndpointOptions;
  /** Requests of the user that are counted before the first call. */
  readonly before: number;
  /** Limits of the user come before the hooks. */
  readonly limitsFirst: boolean;
  /** A function that calls the tool once more. Resolves when the call is answered or refused. */
  open(client: RawClient): Promise<() => Promise<unknown>>;
}

const call = { name: 'guarded', arguments: {} };
const WAYS: Readonly<Record<string, Way>> = {
  'streamable HTTP': {
    options: {},
    before: 1,
    limitsFirst: false,
    open: async (client) => {
      await client.initialize();
      return () => client.call('tools/call', call);
    },
  },
  '2024-11-05': {
    options: { legacySse: true },
    before: 1,
    limitsFirst: false,
    open: async (client) => {
      const { post, stream } = await openSse(client);
      let id = 0;
      return async () => {
        const { status } = await post(toolCall((id += 1), 'guarded'));
        if (status === 202) await stream.nextMessage();
      };
    },
  },
  stateless: {
    options: { sessionMode: 'stateless' },
    before: 0,
    limitsFirst: true,
    open: async (client) => () => client.call('tools/call', call),
  },
  '2026-07-28': {
    options: {},
    before: 0,
    limitsFirst: true,
    open: async (client) => () => callModern(client, 'tools/call', call),
  },
};

const HOOKS = { synchronous: () => {}, 'that wait': () => turns() };

/** An endpoint whose hooks and whose tool note when they run. `scope`: what the tool asks for. */
async function noting(way: Way, wait: () => Promise<void> | void, more: McpEndpointOptions, scope?: string) {
  const story: string[] = [];
  const after = <T>(step: string, answer: T): T | Promise<T> => {
    story.push(step);
    const waited = wait();
    return waited === undefined ? answer : waited.then(() => answer);
  };
  const scopeChallenge: ScopeChallengeHandler = () =>
    after('scopes', scope === undefined ? undefined : { scopes: [scope] });
  const allowed = { now: true };
  const authorize: AuthOptions['authorize'] = () => after('authorize', allowed.now);
  const auth = {
    verify: async (token: string) => ({
      token,
      clientId: 'c',
      scopes: [],
      expiresAt: Date.now(),
      extra: { sub: 'ada' },
    }),
    authorize,
  };
  const served = await serve(
    ({ serverOptions }) => {
      const server = new McpServer({ name: 'noting', version: '1' }, serverOptions);
      server.registerTool('guarded', { inputSchema: z.looseObject({}), scopeChallenge }, () => {
        story.push('dispatch');
        return said('ran');
      });
      return server;
    },
    { ...way.options, auth, ...more },
  );
  const client = served.client(bearer('t'));
  const call = await way.open(client);
  const ask = async (): Promise<string[]> => {
    story.length = 0;
    await call();
    return [...story];
  };
  return Object.assign(ask, { story, client, allowed });
}

describe.each(Object.entries(WAYS))('over %s', (_, way) => {
  describe.each(Object.entries(HOOKS))('with hooks %s', (__, wait) => {
    test('a call that authorize refuses, or without its scope, takes no place of its tool', async () => {
      const limits = { perTool: { guarded: { requestsPerMinute: 1 } } };
      const ask = await noting(way, wait, { limits });
      ask.allowed.now = false;
      for (let n = 0; n < 3; n += 1) expect(await ask()).toEqual(['authorize']);
      ask.allowed.now = true;
      expect(await ask()).toEqual(['authorize', 'scopes', 'dispatch']);
      const other = await noting(way, wait, { limits }, 'admin');
      for (let n = 0; n < 3; n += 1) expect(await other()).toEqual(['authorize', 'scopes']);
    });

    test('aroundRequest comes behind all of them', async () => {
      const around: string[] = [];
      const aroundRequest: AroundRequest = (request, next) => {
        if (request.method === 'tools/call') around.push(String(request.authInfo?.clientId));
        return next();
      };
      const limits = { perTool: { guarded: { requestsPerMinute: 1 } } };
      const ask = await noting(way, wait, { aroundRequest, limits });
      expect(await ask()).toEqual(['authorize', 'scopes', 'dispatch']);
      expect(await ask()).toEqual(['authorize', 'scopes']);
      expect(around).toEqual(['c']);
      const other = await noting(way, wait, { aroundRequest }, 'admin');
      expect(await other()).toEqual(['authorize', 'scopes']);
      expect(around).toEqual(['c']);
    });

    test(`the limits of a user ${way.limitsFirst ? 'come before every hook' : 'follow the scopes'}`, async () => {
      const ask = await noting(way, wait, { limits: { perUser: { requestsPerMinute: way.before + 1 } } });
      expect(await ask()).toEqual(['authorize', 'scopes', 'dispatch']);
      expect(await ask()).toEqual(way.limitsFirst ? [] : ['authorize', 'scopes']);
    });
  });
});

test('no further hook is asked once the session has left while one waits', async () => {
  const waits = gate();
  onTestFinished(() => waits.open());
  const ask = await noting(WAYS['streamable HTTP'] as Way, waits.hook, {});
  const asked = ask();
  await until(() => waits.waiting === 1);
  await ask.client.delete();
  waits.open();
  await asked;
  await turns();
  expect(ask.story).toEqual(['authorize']);
});
