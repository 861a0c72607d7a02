/**
 * What the short way of a request relies on in the SDK (docs/adr/transport.md), in each installed version and build. A new version
 * that fails here needs a look at `src/sdk/request-entry.ts` before it is supported. `older-sdks.test.ts` has the others.
 */
import { createRequire } from 'node:module';
import * as v2 from '@modelcontextprotocol/server';
import * as v1 from '@modelcontextprotocol/sdk/server/index.js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkMessage } from '../../../src/base/protocol/jsonrpc.ts';
import { entered, type ServerClass, shortWayOf } from '../../kit/short-way.ts';

const require = createRequire(import.meta.url);
const v2CommonJs = require('@modelcontextprotocol/server') as typeof v2;
const v1CommonJs = require('@modelcontextprotocol/sdk/server/index.js') as typeof v1;

const builds: Array<[string, ServerClass]> = [
  ['version 2', v2.Server],
  ['version 2, CommonJS', v2CommonJs.Server],
  ['version 1', v1.Server],
  ['version 1, CommonJS', v1CommonJs.Server],
].map(([name, Server]) => [name as string, Server as unknown as ServerClass]);

const meta = fc.oneof(
  fc.constant({ progressToken: 1 }),
  fc.constant({ progressToken: 'a', 'io.modelcontextprotocol/related-task': { taskId: 't' } }),
  fc.record({ progressToken: fc.jsonValue() }),
  fc.record({ 'io.modelcontextprotocol/related-task': fc.jsonValue() }),
  fc.dictionary(fc.string(), fc.jsonValue()),
  fc.jsonValue(),
);
const params = fc.oneof(
  fc.dictionary(fc.string(), fc.jsonValue()),
  fc.record({ _meta: meta, name: fc.jsonValue() }, { requiredKeys: [] }),
  fc.jsonValue(),
);
const mostly = (usual: fc.Arbitrary<unknown>, other: fc.Arbitrary<unknown>) =>
  fc.oneof({ weight: 19, arbitrary: usual }, { weight: 1, arbitrary: other });
const maybe = (weight: number, value: fc.Arbitrary<unknown>) =>
  fc.oneof(
    { weight: 20 - weight, arbitrary: fc.constant(undefined) },
    { weight, arbitrary: value },
  );
/** Near requests: most are valid, some are not. */
const message = fc
  .record({
    jsonrpc: mostly(fc.constant('2.0'), fc.jsonValue()),
    id: mostly(
      fc.oneof(fc.integer(), fc.string(), fc.maxSafeInteger()),
      fc.oneof(fc.double(), fc.jsonValue()),
    ),
    method: mostly(fc.string(), fc.jsonValue()),
    params: maybe(12, params),
    result: maybe(1, fc.jsonValue()),
    error: maybe(1, fc.jsonValue()),
    other: maybe(1, fc.jsonValue()),
  })
  .map((value) => JSON.parse(JSON.stringify(value)) as unknown);

describe.each(builds)('%s', (_name, Server) => {
  test('passes each request to its entry as it is, and does nothing else with it', async () => {
    expect(await shortWayOf(Server)).toEqual({
      connected: true,
      passed: true,
      changed: [],
      sent: 0,
    });
  });

  test('takes every message for a request that this library takes for one', async () => {
    const { onmessage, calls } = await entered(Server);
    let found = 0;
    fc.assert(
      fc.property(message, (value) => {
        if (checkMessage(value).kind !== 'request') return;
        found += 1;
        calls.length = 0;
        onmessage(value, {});
        expect(calls.length).toBe(1);
        expect(calls[0]?.[0]).toBe(value);
      }),
      { numRuns: 2_000 },
    );
    expect(found).toBeGreaterThan(300);
  });
});
