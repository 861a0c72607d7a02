/**
 * A refused call that a build recorded with an unknown name in place of the name that was sent. This build asks the
 * hook about the sent name.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { McpServer, ResourceTemplate } from '@modelcontextprotocol/server';
import { expect, onTestFinished, test } from 'vitest';
import type * as sojourn from '../../src/index.ts';
import type * as sqliteStore from '../../src/stores/sqlite/index.ts';
import { as, body, optionsOf } from '../security/authorize-modes.ts';
import { serve } from '../kit/serve.ts';
import { sharedTarget } from '../kit/shared-stores.ts';
import { sqlite } from '../../src/stores/sqlite/index.ts';
import { until } from '../kit/until.ts';
import { gate, watchedStore } from '../kit/watched-store.ts';
import { clientOf } from '../cli/deployment.ts';
import { changedBuild } from './builds.ts';

/** It wrote the names that the server got into its records. */
const buildBefore = (): string =>
  changedBuild(
    ['session/calls/markers.js', 'sentRequest(request)', 'request'],
    ['session/calls/markers.js', 'isLikeRecorded(sent)', 'false'],
    [
      'auth/hook-authorizer.js',
      'return UNKNOWN + createHmac(',
      "return name.startsWith(UNKNOWN) ? name : UNKNOWN + Buffer.from(name).toString('base64url') || createHmac(",
    ],
  );

const SENT = 'note://later';
const WRITTEN = `sojourn-unknown:${Buffer.from('note://open').toString('base64url')}=later`;

test.each([
  ['allowed now', SENT, () => true, SENT, SENT],
  [
    'refused now',
    SENT,
    (uri: string) => !uri.includes('later'),
    SENT,
    expect.stringMatching(/^sojourn-unknown:[\w-]{43}$/),
  ],
  // That build took what its client had written for a name that it had made.
  ['written by a client', WRITTEN, (uri: string) => !uri.includes('later'), 'note://open', 'note://open'],
])('a call that the build before recorded, %s', async (_what, uri, mayNow, asked, got) => {
  const folder = buildBefore();
  const load = async (file: string): Promise<unknown> => import(pathToFileURL(join(folder, file)).href);
  const before = (await load('index.js')) as typeof sojourn;
  const { sqlite: sqliteBefore } = (await load('stores/sqlite/index.js')) as typeof sqliteStore;
  const path = sharedTarget('sqlite');
  const store = watchedStore({ durable: true, inProcess: false, inner: sqliteBefore(path) });
  const waits = gate();
  const seen = { got: [] as string[], asked: [] as string[], after: false };
  const factory: sojourn.McpEndpointFactory = (ctx) => {
    const server = new McpServer({ name: 'x', version: '1' }, { ...ctx.serverOptions });
    server.registerResource('any', new ResourceTemplate('{+any}', { list: undefined }), {}, async ({ href }) => {
      seen.got.push(href);
      if (!seen.after) await waits.hook();
      return { contents: [{ uri: href, text: `read ${href}` }] };
    });
    return server;
  };
  const options = optionsOf((_kind, name) => {
    seen.asked.push(name);
    return seen.after && mayNow(name);
  });
  const first = before.createMcpEndpoint(factory, { ...options, store });
  onTestFinished(async () => {
    waits.open();
    await first.close();
  });
  const { url } = await first.listen({ port: 0 });
  const client = clientOf(url);
  await client.initialize({ protocolVersion: '2025-11-25', ...as('user') });
  const stream = await client.post(body('resources/read', { uri }), as('user'));
  const { id: lastEventId } = await stream.next();
  await until(() => seen.got.length > 0);
  expect(seen.got[0]).toMatch(/^sojourn-unknown:/);
  Object.assign(seen, { got: [], asked: [], after: true });
  await store.views[0]?.instances.leave(first.health().instance);

  const second = await serve(factory, { ...options, store: sqlite(path) });
  const resumed = await clientOf(second.url, client).get({ lastEventId, ...as('user') });
  expect(JSON.stringify(await resumed.nextMessage())).toContain(asked);
  expect([seen.asked, seen.got]).toEqual([[asked], [got]]);
});
