/** Whose session it is where a token names no subject: such a request is refused, whatever its era and mode. */
import type { AuthInfo } from '@modelcontextprotocol/server';
import { describe, expect, test } from 'vitest';
import type { McpEndpointOptions } from '../../src/index.ts';
import type { RawResponse } from '../kit/raw-response.ts';
import { createLab } from '../kit/lab.ts';
import { postModern } from '../kit/modern.ts';
import { faces, serve, type ServeSettings } from '../kit/serve.ts';

/** `x-extra` is the token's `extra`, as JSON; without it the caller is anonymous. */
const auth: NonNullable<ServeSettings['auth']> = ({ 'x-extra': extra }) =>
  extra === undefined ? undefined : info(JSON.parse(String(extra)) as Record<string, unknown>);

/** Every user of this client application has the same `clientId`. */
const info = (extra: Record<string, unknown> | null): AuthInfo => ({
  token: 'secret-token',
  clientId: 'the-app',
  scopes: [],
  ...(extra !== null && { extra }),
});

const as = (extra: Record<string, unknown> | null) => ({ headers: { 'x-extra': JSON.stringify(extra) } });

/** What a verifier may leave where the subject should be. */
const NAMELESS: ReadonlyArray<Record<string, unknown> | null> = [
  null,
  {},
  { iss: 'https://id.example' },
  { sub: '' },
  { sub: '', iss: 'https://id.example' },
  { sub: null },
  { sub: true },
  { sub: ['alice'] },
  { sub: { id: 1 } },
];

const PARAMS = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } };
const refused = (id: number | null) => ({ jsonrpc: '2.0', id, error: { code: -32603, message: 'Internal error' } });
const seen = (response: RawResponse): unknown => ({ status: response.status, body: response.json() });

describe.each(faces)('over the %s face', (face) => {
  const start = async (options: McpEndpointOptions = {}) => {
    const lab = createLab();
    return { lab, ...(await serve(lab.factory, options, { face, auth })) };
  };

  test('B179 a caller whose token has no subject is refused with 500 in every era and mode, and the log says why', async () => {
    for (const options of [
      {},
      { sessionMode: 'stateful' },
      { sessionMode: 'stateless' },
      { legacySse: true },
    ] as const) {
      const { client, lab, log } = await start(options);
      // A caller without a session, and one in the session of another user of the same client application.
      const [stranger, alice] = [client(), client(as({ sub: 'alice' }))];
      await alice.initialize();
      const made = lab.made.length;
      for (const [one, extra] of NAMELESS.flatMap((extra) => [[stranger, extra] as const, [alice, extra] as const])) {
        const initialize = { jsonrpc: '2.0', id: 1, method: 'initialize', params: PARAMS };
        const responses = [
          await one.post(initialize, as(extra)),
          await one.post({ jsonrpc: '2.0', id: 1, method: 'tools/list' }, { version: '2025-11-25', ...as(extra) }),
          await postModern(one, 'tools/list', {}, as(extra)),
          await one.get(as(extra)),
          await one.delete(as(extra)),
          ...('legacySse' in options ? [await one.get({ path: '/mcp/sse', ...as(extra) })] : []),
        ];
        for (const response of responses) expect(seen(response)).toEqual({ status: 500, body: refused(null) });
      }
      expect(lab.made).toHaveLength(made);
      expect((await alice.call('ping', {}, { version: '2025-11-25' })).response.status).toBe(200);
      expect(log.matching(/extra\.sub.*sessionUser/, 'warn')).not.toEqual([]);
      expect(JSON.stringify(log.lines)).not.toContain('secret-token');
    }
  });
});
