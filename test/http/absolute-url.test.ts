import { expect, test } from 'vitest';
import { createLab } from '../kit/lab.ts';
import { serve } from '../kit/serve.ts';

test('the URL of a request has its own Host, and localhost where no URL can have that Host', async () => {
  const seen: string[] = [];
  const { client } = await serve(
    createLab().factory,
    {
      sessionMode: 'stateful',
      configureSessionOptions: (request) => void seen.push(request.url),
    },
    { face: 'node' },
  );
  for (const host of ['a.example', 'b.example:99999', 'a.example:1'])
    await client({ headers: { host } }).initialize();
  expect(seen).toEqual(['http://a.example/mcp', 'http://localhost/', 'http://a.example:1/mcp']);
});
