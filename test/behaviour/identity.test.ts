// @module-tag per-session
/** Whose session it is, and what everybody else gets. */
import type { AuthInfo } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import { currentRequest, type McpEndpointOptions } from '../../src/index.ts';
import { createLab, textOf, tool } from '../kit/lab.ts';
import { handshake } from '../kit/legacy-sse.ts';
import { postModern } from '../kit/modern.ts';
import type { ServeSettings } from '../kit/serve.ts';
import { said, toolServer } from '../kit/tool-server.ts';
import { perFace } from '../kit/sessions.ts';
import { failure } from '../kit/refusals.ts';

const info = (extra: Record<string, unknown> = {}, clientId = 'c', token = 't'): AuthInfo => ({
  token,
  clientId,
  scopes: [],
  extra,
});

/** `x-user` names the subject, `x-token` the token; no `x-user`: no user. */
const auth: NonNullable<ServeSettings['auth']> = (headers) =>
  headers['x-user'] === undefined
    ? undefined
    : info({ sub: headers['x-user'] }, 'c', String(headers['x-token'] ?? 'first'));

const as = (user?: string) => (user === undefined ? {} : { headers: { 'x-user': user } });

/** What a verifier may leave where the subject should be. */
const NAMELESS: ReadonlyArray<Record<string, unknown> | undefined> = [
  undefined,
  {},
  { iss: 'https://id.example' },
  { sub: '' },
  { sub: '', iss: 'https://id.example' },
  { sub: null },
  { sub: true },
  { sub: ['alice'] },
  { sub: { id: 1 } },
];

describe.each(perFace)('over $face', ({ serve, inLab }) => {
  test.each<[string, AuthInfo | undefined, string | undefined]>([
    [
      'issuer and subject',
      info({ iss: 'https://id.example', sub: 'alice' }),
      '["sub","https://id.example","alice"]',
    ],
    ['a subject without an issuer', info({ sub: 'alice' }), '["sub","","alice"]'],
    [
      'a subject that is a number',
      info({ iss: 'https://id.example', sub: 42 }),
      '["sub","https://id.example","42"]',
    ],
    ['no user', undefined, undefined],
  ])('B179 a session belongs to %s', async (_, authInfo, user) => {
    const userName = user && (JSON.parse(user) as string[])[2];
    const { one, endpoint, lab } = await inLab({}, {}, { auth: () => authInfo });
    expect(lab.made[0]?.ctx.session).toMatchObject({ userKey: user, userName });
    const shown = await endpoint.sessions.get(one.sessionId ?? '');
    expect([shown?.userKey, shown?.userName]).toEqual([user, userName]);
  });

  test('B179 sessionUser decides where it is given, without a subject too, and may name no user', async () => {
    const lab = createLab();
    const { client } = await serve(
      lab.factory,
      {
        sessionUser: ({ extra }) =>
          extra?.['mail'] === undefined ? undefined : String(extra['mail']),
      },
      { auth: (headers) => info({ mail: headers['x-mail'] }) },
    );
    await client({ headers: { 'x-mail': 'a@example.com' } }).initialize();
    await client().initialize();
    expect(lab.made.map(({ ctx }) => ctx.session?.userKey)).toEqual([
      '["user","a@example.com"]',
      undefined,
    ]);
  });

  test.each<[string, () => string]>([
    [
      'throws',
      () => {
        throw new Error('the directory /etc/secret is away');
      },
    ],
    [
      'is asynchronous, which would make everybody the same user,',
      (async () => 'alice') as unknown as () => string,
    ],
  ])('B179 a sessionUser that %s fails its request alone', async (_, sessionUser) => {
    const { client } = await serve(createLab().factory, { sessionUser }, { auth });
    const { response, message } = await client(as('alice')).initialize();
    expect(response.status).toBe(500);
    expect(message).toEqual(failure(null, -32603, 'Internal error'));
    expect((await client().initialize()).response.status).toBe(200);
  });

  test.each<McpEndpointOptions>([
    { sessionMode: 'stateful' },
    { sessionMode: 'stateless' },
    { legacySse: true },
  ])(
    'B179 a caller whose token has no subject is refused with 500 in every era, and the log says why: %j',
    async (options) => {
      let extra: Record<string, unknown> | undefined = { sub: 'alice' };
      const caller = (): AuthInfo => ({
        token: 'secret-token',
        clientId: 'the-app',
        scopes: [],
        ...(extra && { extra }),
      });
      const lab = createLab();
      const { client, log } = await serve(lab.factory, options, { auth: caller });
      // A caller without a session, and one in the session of another user of the same client application.
      const [stranger, alice] = [client(), client()];
      await alice.initialize();
      const made = lab.made.length;
      for (extra of NAMELESS) {
        for (const one of [stranger, alice]) {
          const responses = [
            (await one.call('initialize', handshake(0).params, { sessionId: null })).response,
            await one.post(
              { jsonrpc: '2.0', id: 1, method: 'tools/list' },
              { version: '2025-11-25' },
            ),
            await postModern(one, 'tools/list'),
            await one.get(),
            await one.delete(),
            ...(options.legacySse === true ? [await one.get({ path: '/mcp/sse' })] : []),
          ];
          const answers = responses.map((response) => [response.status, response.json()]);
          expect(answers).toEqual(
            answers.map(() => [500, failure(null, -32603, 'Internal error')]),
          );
        }
      }
      expect(lab.made).toHaveLength(made);
      extra = { sub: 'alice' };
      expect((await alice.call('ping', {}, { version: '2025-11-25' })).response.status).toBe(200);
      expect(log.matching(/extra\.sub.*sessionUser/, 'warn')).not.toEqual([]);
      expect(JSON.stringify(log.lines)).not.toContain('secret-token');
    },
  );

  test('B179 a refreshed token keeps the session', async () => {
    const { openSession } = await serve(createLab().factory, {}, { auth });
    const one = await openSession({}, { headers: { 'x-user': 'alice', 'x-token': 'first' } });
    const { response, message } = await one.call(...tool('who'), {
      headers: { 'x-token': 'second' },
    });
    expect(response.status).toBe(200);
    expect(textOf(message)).not.toMatch(/first|second/);
  });

  test('B182 a handler sees who calls and what was sent with this call, not with the request that opened the session', async () => {
    const { openSession } = await serve(
      toolServer({
        caller: async (_args, ctx) => {
          const request = currentRequest();
          await new Promise((later) => setImmediate(later));
          return said(
            JSON.stringify([
              ctx.http?.authInfo?.token,
              ctx.http?.req?.headers.get('x-call'),
              request?.headers.get('x-call'),
              currentRequest()?.userKey,
              currentRequest()?.userName,
            ]),
          );
        },
      }),
      {},
      { auth },
    );
    const alice = await openSession({}, as('alice'));
    const calls = ['one', 'two', 'three'].map((n) =>
      alice.call(...tool('caller'), { headers: { 'x-token': `token-${n}`, 'x-call': n } }),
    );
    expect(
      (await Promise.all(calls)).map(({ message }) => JSON.parse(textOf(message) ?? '')),
    ).toEqual(
      ['one', 'two', 'three'].map((n) => [`token-${n}`, n, n, '["sub","","alice"]', 'alice']),
    );
  });
});
