/** `aroundRequest` under the official clients: two processes on one SQLite file, a relay, and a `kill -9`. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startNode } from '../kit/child-process.ts';
import { sharedTarget } from '../kit/shared-stores.ts';
import { serve } from '../kit/serve.ts';
import { said, toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';
import { connectNegotiating, sessionClients, type Connect } from './official.ts';

const SERVER = join(import.meta.dirname, '../session/calls/processes/around-server.mjs');
const clients: Array<[string, Connect]> = [...sessionClients, ['v2, 2026-07-28', connectNegotiating]];

/** With the token of ada. `heads`: responses to POSTs that have begun. */
function fetchAsAda(): { fetch: typeof fetch; readonly heads: () => number } {
  let heads = 0;
  const asAda: typeof fetch = async (input, init) => {
    const headers = new Headers(init?.headers);
    headers.set('authorization', 'Bearer ada');
    const response = await fetch(input, { ...init, headers });
    if (init?.method === 'POST') heads += 1;
    return response;
  };
  return { fetch: asAda, heads: () => heads };
}

async function start(file: string) {
  const { child, output } = startNode([SERVER, file]);
  const url = await until(() => /url (.*)/.exec(output.stdout)?.[1] ?? '', { timeoutMs: 20_000, what: output.stderr });
  const calls = (): string[] => output.stdout.match(/^tools\/call .*/gm) ?? [];
  /** Whether the call of `slow` is stored. */
  const stored = (): boolean => /slow 1 .*[^]*^stored$/m.test(output.stdout);
  return { child, url, calls, stored };
}

describe.each(clients)('%s', (name, connect) => {
  test('a call runs within it on memory too', async () => {
    const story: string[] = [];
    const { url } = await serve(toolServer({ hello: () => said('hi') }), {
      aroundRequest: (request, next) => {
        story.push(request.method);
        return next();
      },
    });
    const { client, say } = await connect(url);
    expect((await client.listTools()).tools).toHaveLength(1);
    expect(await say('hello')).toBe('hi');
    await client.close();
    expect(story.slice(-2)).toEqual(['tools/list', 'tools/call']);
  });

  test(
    'each of its calls has the key of its caller, at either instance, and after a kill -9',
    { timeout: 60_000 },
    async () => {
      const file = sharedTarget('sqlite');
      const [first, second] = [await start(file), await start(file)];
      const ada = fetchAsAda();
      let serving = first;
      const { client, say } = await connect(first.url, { fetch: ada.fetch, route: () => serving.url });
      await client.listTools();
      for (const instance of [first, second, first, second]) {
        serving = instance;
        expect(await say('key')).toBe('key-of-ada');
      }
      const ran = [...first.calls(), ...second.calls()];
      expect(ran).toEqual(Array(4).fill('tools/call key 1 key-of-ada'));
      if (!name.includes('2026')) expect(second.calls()).toEqual([]);
      // A call of 2026-07-28 dies with its instance.
      if (name.includes('2026')) return client.close();
      serving = second;
      const before = ada.heads();
      const slow = say('slow');
      await until(() => first.calls().some((call) => call.includes('slow')), { timeoutMs: 10_000 });
      await until(() => ada.heads() > before && first.stored());
      first.child.kill('SIGKILL');
      expect(await slow).toBe('key-of-ada');
      expect(first.calls().at(-1)).toBe('tools/call slow 1 key-of-ada');
      expect(second.calls().at(-1)).toBe('tools/call slow 2 key-of-ada');
      await client.close();
    },
  );
});
