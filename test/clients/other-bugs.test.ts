// @module-tag matrix
/** Real clients in other languages, and what the server does for their bugs. */
import { inputRequired } from '@modelcontextprotocol/server';
import { expect, onTestFinished, test } from 'vitest';
import { createFaultProxy } from '../kit/fault-proxy.ts';
import { createLab } from '../kit/lab.ts';
import { serve } from '../kit/serve.ts';
import { until } from '../kit/until.ts';
import { OtherProgram } from './other-client.ts';
import { others } from './other-list.ts';

const LIST_CHANGED = 'notifications/tools/list_changed';
const CUTS = 4;
/** Longer than the clean end after a resume, so that each cut is a separate break. */
const HEALTHY_MS = 700;

const pythons = others.filter(
  ({ name, era, missing }) => name.startsWith('python') && era === '2025' && missing === undefined,
);

test.each(pythons)('$title keeps its GET stream and its call through breaks', async ({ command }) => {
  const lab = createLab((server) => {
    server.registerTool('reveal', {}, () => {
      server.sendToolListChanged();
      return { content: [{ type: 'text', text: 'look again' }] };
    });
  });
  const { port } = await serve(lab.factory, { retryMs: 100 });
  const proxy = await createFaultProxy({ port });
  const program = new OtherProgram(command);
  onTestFinished(async () => {
    await program.close();
    await proxy.close();
  });
  const client = await program.connect(`http://127.0.0.1:${proxy.port}/mcp`, '2025');
  const call = client.call('hold', {}, 'held');
  await lab.held();
  for (let n = 0; n < CUTS; n++) {
    const at = performance.now();
    await until(() => performance.now() - at > HEALTHY_MS);
    const { accepted } = proxy;
    proxy.cutAll();
    // The stream of the call and the GET stream come back.
    await until(() => proxy.accepted >= accepted + 2, { what: 'both streams to come back', timeoutMs: 10_000 });
  }
  lab.holds[0]?.answer('held');
  expect(await call).toBe('ok');
  expect(await client.notifies(LIST_CHANGED, () => client.call('reveal'))).toEqual(['ok', true]);
  expect(client.dead).toBeUndefined();
});

const go = others.find(({ name, missing }) => name === 'go-sdk' && missing === undefined);

test.skipIf(go === undefined)('a Go client answers a question for roots', async () => {
  const lab = createLab((server) => {
    server.registerTool('roots', {}, ({ mcpReq }) =>
      mcpReq.inputResponses === undefined
        ? (inputRequired({ inputRequests: { roots: inputRequired.listRoots() } }) as never)
        : { content: [{ type: 'text' as const, text: 'answered' }] },
    );
  });
  const { url } = await serve(lab.factory);
  const program = new OtherProgram(go?.command ?? []);
  onTestFinished(() => program.close());
  const client = await program.connect(url, '2026');
  expect(await client.call('roots', {}, 'answered')).toBe('ok');
});
