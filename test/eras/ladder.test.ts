/** The order of the steps of each way in, as the hooks of an application and the refusals of its clients show it. */
import { describe, expect, onTestFinished, test } from 'vitest';
import type {
  Middleware,
  AuthOptions,
  McpEndpointFactory,
  McpEndpointOptions,
} from '../../src/index.ts';
import { said } from '../kit/tool-server.ts';
import { turns, until } from '../kit/until.ts';
import { gate } from '../kit/watched-store.ts';
import { z } from 'zod';
import { McpServer, type ScopeChallengeHandler } from '@modelcontextprotocol/server';
import { bearer } from '../kit/issuer.ts';
import { type Start, WAYS } from '../kit/ways.ts';

const SESSION = 'sessions, 2025-11-25';

/** `opening`: requests of the user that open a session. The limits of the user come behind the hooks then. */
const NAMES: ReadonlyArray<readonly [way: string, opening: number]> = [
  [SESSION, 1],
  ['legacy SSE', 2],
  ['stateless, 2025-11-25', 0],
  ['2026-07-28', 0],
];

const startOf = (way: string): Start => WAYS[way] as Start;

const HOOKS = { synchronous: () => {}, 'that wait': () => turns() };

/** An endpoint whose hooks and whose tool note when they run. `scope`: what the tool asks for. */
async function noting(
  way: string,
  wait: () => Promise<void> | void,
  more: McpEndpointOptions,
  scope?: string,
) {
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
  const factory: McpEndpointFactory = ({ serverOptions }) => {
    const server = new McpServer({ name: 'noting', version: '1' }, serverOptions);
    server.registerTool('guarded', { inputSchema: z.looseObject({}), scopeChallenge }, () => {
      story.push('dispatch');
      return said('ran');
    });
    return server;
  };
  const callers = { options: { auth, ...more }, opener: 't', headersOf: bearer };
  const { send, served } = await startOf(way)(callers, { ran: [], factory });
  /** Calls the tool once more. Resolves when the call is answered or refused. */
  const ask = async (): Promise<string[]> => {
    story.length = 0;
    const { status, answer } = await send('tools/call', { name: 'guarded', arguments: {} }, 't');
    if (status < 300) await answer();
    return [...story];
  };
  return Object.assign(ask, { story, served, allowed });
}

describe.each(NAMES)('over %s', (way, opening) => {
  const inSession = opening > 0;
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

    test('middleware comes behind all of them', async () => {
      const around: string[] = [];
      const middleware: Middleware = (request, next) => {
        if (request.method === 'tools/call') around.push(String(request.authInfo?.clientId));
        return next();
      };
      const limits = { perTool: { guarded: { requestsPerMinute: 1 } } };
      const ask = await noting(way, wait, { middleware, limits });
      expect(await ask()).toEqual(['authorize', 'scopes', 'dispatch']);
      expect(await ask()).toEqual(['authorize', 'scopes']);
      expect(around).toEqual(['c']);
      const other = await noting(way, wait, { middleware }, 'admin');
      expect(await other()).toEqual(['authorize', 'scopes']);
      expect(around).toEqual(['c']);
    });

    test(`the limits of a user ${inSession ? 'follow the scopes' : 'come before every hook'}`, async () => {
      const ask = await noting(way, wait, {
        limits: { perUser: { requestsPerMinute: opening + 1 } },
      });
      expect(await ask()).toEqual(['authorize', 'scopes', 'dispatch']);
      expect(await ask()).toEqual(inSession ? ['authorize', 'scopes'] : []);
    });
  });
});

test('no further hook is asked once the session has left while one waits', async () => {
  const waits = gate();
  onTestFinished(() => waits.open());
  const ask = await noting(SESSION, waits.hook, {});
  const asked = ask();
  await until(() => waits.waiting === 1);
  const [session] = (await ask.served.endpoint.sessions.list()).sessions;
  expect((await ask.served.client(bearer('t')).delete({ sessionId: session?.id })).status).toBe(
    200,
  );
  waits.open();
  await asked;
  await turns();
  expect(ask.story).toEqual(['authorize']);
});
