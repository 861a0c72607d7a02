/** Large bodies that one user sends at once are parsed in turns, so that another user is served between them. */
import { expect, onTestFinished, test } from 'vitest';
import { createMcpEndpoint } from '../../src/index.ts';
import { createLog } from '../kit/log.ts';
import { envelope, mirrored } from '../kit/modern.ts';
import { said, toolServer } from '../kit/tool-server.ts';

const BODIES = 8;

test('a small call of another user begins before the large bodies that came earlier are parsed', async () => {
  const began: unknown[] = [];
  const endpoint = createMcpEndpoint(toolServer({ note: ({ who }) => (began.push(who), said('noted')) }), {
    logger: createLog(),
  });
  onTestFinished(() => endpoint.close());
  const call = (who: string, padding: number): Promise<Response> => {
    const params = { name: 'note', arguments: { who, padding: 'x'.repeat(padding) }, _meta: envelope() };
    const request = new Request('http://localhost/mcp', {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        ...(mirrored('tools/call', params) as Record<string, string>),
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }),
    });
    const authInfo = { token: 'none', clientId: 'test', scopes: [], extra: { sub: who } };
    return endpoint.fetch(request, { authInfo });
  };
  const answers = [...Array.from({ length: BODIES }, () => call('ann', 300_000)), call('bob', 10)];
  for (const answer of answers) expect((await answer).status).toBe(200);
  expect(began).toHaveLength(BODIES + 1);
  expect(began.indexOf('bob')).toBeLessThan(BODIES / 2);
});
