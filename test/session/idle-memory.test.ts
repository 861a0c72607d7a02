// @module-tag matrix
/** A process may hold a session for hours and many thousands of them, so an idle session keeps no stream. */
import { queryObjects } from 'node:v8';
import { describe, expect, test } from 'vitest';
import { Stream } from '../../src/session/streams/stream.ts';
import { serve } from '../kit/serve.ts';
import { said, toolServer } from '../kit/tool-server.ts';
import { until } from '../kit/until.ts';

/** Counts after a garbage collection. */
const streams = (): number => queryObjects(Stream, { format: 'count' });

describe.each([['2025-03-26'], ['2025-06-18'], ['2025-11-25']])('at %s', (protocolVersion) => {
  test('an idle session keeps no stream, after its handshake and after a call', async () => {
    const client = (await serve(toolServer({ none: () => said('done') }))).client();
    await client.initialize({ protocolVersion });
    await until(() => streams() === 0, { what: 'the stream of initialize is garbage' });
    await client.call('tools/call', { name: 'none', arguments: {} });
    await until(() => streams() === 0, { what: 'the stream of the call is garbage' });
  });

  test('a session keeps its GET stream from the first GET on', async () => {
    const client = (await serve(toolServer({}))).client();
    await client.initialize({ protocolVersion });
    const get = await client.get();
    expect(streams()).toBeGreaterThanOrEqual(1);
    get.abort();
    await until(() => streams() === 1, { what: 'only the GET stream is left' });
  });
});
