/**
 * Anonymous callers beside authenticated ones (`auth.anonymous`): they get what `optional` says. `auth-tokens.test.ts`
 * holds that a token that is not valid makes no anonymous caller, `foreign-users.test.ts` that no session changes its
 * kind.
 */
import { type AuthInfo, McpServer, requireScopes } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import { currentRequest, type McpEndpointOptions } from '../../src/index.ts';
import { createLab, say, textOf, tool } from '../kit/lab.ts';
import { callModern } from '../kit/modern.ts';
import { serve, type Face, type ServeSettings } from '../kit/serve.ts';
import type { Message } from '../kit/sse-parser.ts';

type Auth = NonNullable<McpEndpointOptions['auth']>;

const METADATA = {
  resource: 'https://mcp.example/mcp',
  authorization_servers: ['https://id.example'],
};

/** The tokens are `alice`, and `alice.admin` with that scope. */
const verify: NonNullable<Auth['verify']> = async (token) => {
  const [sub, ...scopes] = token.split('.');
  if (sub !== 'alice') return undefined;
  return {
    token,
    clientId: 'app',
    scopes,
    expiresAt: 4_000_000_000,
    extra: { iss: 'https://id.example', sub },
  };
};

const auth = (more: Partial<Auth> = {}): Auth => ({
  verify,
  metadata: METADATA,
  anonymous: true,
  ...more,
});
const as = (token: string | undefined) => ({
  headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
  timeoutMs: 20_000,
});

/** Without `passesOptions` the SDK's own handler serves the requests of 2026-07-28. */
function labOf(passesOptions = true) {
  const lab = createLab((server) => {
    const whoami = () => ({
      content: [
        {
          type: 'text' as const,
          text: JSON.stringify(currentRequest()?.authInfo?.extra ?? 'anonymous'),
        },
      ],
    });
    server.registerTool('whoami', {}, whoami);
    server.registerTool('admin', { scopeChallenge: requireScopes('admin') }, whoami);
  });
  if (passesOptions) return lab;
  const factory: typeof lab.factory = () => {
    const server = new McpServer({ name: 'plain', version: '1' });
    server.registerTool('admin', { scopeChallenge: requireScopes('admin') }, () => ({
      content: [],
    }));
    return server;
  };
  return { ...lab, factory };
}

const start = (
  options: Partial<Auth> = {},
  more: McpEndpointOptions = {},
  settings: ServeSettings = {},
) => serve(labOf().factory, { auth: auth(options), ...more }, settings);

const FACES: readonly Face[] = ['listen', 'node', 'fetch'];

describe.each(FACES)('over the face %s', (face) => {
  test('a caller without a token is anonymous, and one with a token is not', async () => {
    const { client, openSession } = await start({}, {}, { face });
    for (const [token, seen] of [
      [undefined, '"anonymous"'],
      ['alice', '{"iss":"https://id.example","sub":"alice"}'],
    ] as const) {
      const one = await openSession({}, as(token));
      expect(await say(one, 'whoami')).toBe(seen);
      expect(textOf((await callModern(client(as(token)), ...tool('whoami'))).message)).toBe(seen);
    }
  });

  test('what asks for a scope is 401 for an anonymous caller, without an error code; 403 for a token without the scope', async () => {
    for (const [options, passesOptions] of [
      [{}, true],
      [{}, false],
      [{ sessionMode: 'stateless' }, true],
    ] as const) {
      const { client } = await serve(
        labOf(passesOptions).factory,
        { auth: auth(), ...options },
        { face },
      );
      for (const [token, status, error] of [
        [undefined, 401, undefined],
        ['alice', 403, 'insufficient_scope'],
        ['alice.admin', 200, undefined],
      ] as const) {
        const one = client(as(token));
        if (!('sessionMode' in options)) await one.initialize();
        const answers = [
          (await one.call(...tool('admin'))).response,
          (await callModern(client(as(token)), ...tool('admin'))).response,
        ];
        for (const response of answers) {
          const challenge = response.header('www-authenticate');
          expect(response.status).toBe(status);
          if (status === 200) continue;
          expect(/error="([^"]*)"/.exec(challenge ?? '')?.[1]).toBe(error);
          expect(response.json()).toMatchObject({ error_description: expect.any(String) });
          expect((response.json() as { error?: string }).error).toBe(error);
          expect(challenge).toContain('scope="admin"');
          if (token === undefined)
            expect(challenge).toContain('resource_metadata="https://mcp.example/.well-known/');
        }
      }
    }
  });
});

test.each(['node', 'fetch'] as const)(
  'what a middleware put into the request is no identity: %s',
  async (face) => {
    const smuggled: AuthInfo = {
      token: 't',
      clientId: 'c',
      scopes: ['admin'],
      extra: { sub: 'alice' },
    };
    const { client, openSession } = await start({}, {}, { face, auth: () => smuggled });
    const one = await openSession();
    expect(await say(one, 'whoami')).toBe('"anonymous"');
    expect((await one.call(...tool('admin'))).response.status).toBe(401);
    expect(textOf((await callModern(client(), ...tool('whoami'))).message)).toBe('"anonymous"');
  },
);

describe('a function says what anonymous callers may use', () => {
  const optional: Auth['anonymous'] = (kind, name) =>
    kind === 'tool' && ['whoami', 'echo'].includes(name);

  test.each([[undefined], [() => true]])(
    'the rest does not exist for them, in each era',
    async (authorize) => {
      const { client, openSession } = await start({
        anonymous: optional,
        ...(authorize && { authorize }),
      });
      const namesOf = (message: Message): string[] =>
        message.result?.['tools'].map(({ name }: { name: string }) => name);
      const anonymous = await openSession();
      const alice = await openSession({}, as('alice'));
      for (const list of [
        (await anonymous.call('tools/list')).message,
        (await callModern(client(), 'tools/list')).message,
      ])
        expect(namesOf(list).toSorted()).toEqual(['echo', 'whoami']);
      expect(namesOf((await alice.call('tools/list')).message).length).toBeGreaterThan(5);
      const letIn: string[] = [];
      const refused = async (
        what: string,
        calls: ReadonlyArray<{ readonly message: object }>,
      ): Promise<void> => {
        for (const { message } of calls) {
          const text = JSON.stringify(message);
          if (!/not found/i.test(text)) letIn.push(`${what}: ${text}`);
        }
      };
      for (const name of ['count', 'hold', 'who', 'admin', 'WhoAmI', '__proto__', 'unknown'])
        await refused(name, [
          await anonymous.call(...tool(name)),
          await callModern(client(), ...tool(name)),
        ]);
      for (const uri of ['note://a', 'NOTE://a', 'note://a/../a'])
        await refused(uri, [
          await anonymous.call('resources/read', { uri }),
          await callModern(client(), 'resources/read', { uri }),
        ]);
      expect(letIn).toEqual([]);
      expect(await say(anonymous, 'whoami')).toBe('"anonymous"');
      expect(await say(alice, 'count')).toBe('1');
    },
  );

  test('a function that throws refuses', async () => {
    const { openSession, log } = await start({
      anonymous: () => {
        throw new Error('the list of tools cannot be read');
      },
    });
    const anonymous = await openSession();
    expect(JSON.stringify((await anonymous.call(...tool('whoami'))).message)).toMatch(/not found/);
    expect(JSON.stringify(log.lines)).toContain('auth.anonymous or auth.authorize threw');
  });
});

test('a request in which the proxy names no user is anonymous; two users, or an empty name, are 401', async () => {
  const trustedProxyUser = { header: 'x-user', from: ['127.0.0.1', '::1'] };
  const { client } = await serve(labOf().factory, { auth: { trustedProxyUser, anonymous: true } });
  const one = client();
  expect((await one.initialize()).response.status).toBe(200);
  expect(await say(one, 'whoami')).toBe('"anonymous"');
  for (const user of ['', ['alice', 'bob'], 'a'.repeat(2_000)])
    expect((await client().initialize({ headers: { 'x-user': user } })).response.status).toBe(401);
  const far = await serve(labOf().factory, {
    auth: { trustedProxyUser: { header: 'x-user', from: ['10.9.9.9'] }, anonymous: true },
  });
  expect((await far.client().initialize()).response.status).toBe(401);
});
