/**
 * What the short way of a request relies on in the SDK (ADR 0024), in each installed version and build. A new version
 * that fails here needs a look at `src/sdk/request-entry.ts` before it is supported.
 */
import { createRequire } from 'node:module';
import * as v2 from '@modelcontextprotocol/server';
import * as v1 from '@modelcontextprotocol/sdk/server/index.js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkMessage } from '../../src/protocol/jsonrpc.ts';
import { failedCheck } from '../../src/sdk/request-entry.ts';

const require = createRequire(import.meta.url);
const v2CommonJs = require('@modelcontextprotocol/server') as typeof v2;
const v1CommonJs = require('@modelcontextprotocol/sdk/server/index.js') as typeof v1;

type ServerClass = Parameters<typeof failedCheck>[0];

const builds: Array<[string, ServerClass]> = [
  ['version 2', v2.Server],
  ['version 2, CommonJS', v2CommonJs.Server],
  ['version 1', v1.Server],
  ['version 1, CommonJS', v1CommonJs.Server],
].map(([name, Server]) => [name as string, Server as unknown as ServerClass]);

/** What the SDK's `onmessage` passes on as a request, or as a notification. */
function messagesSeen(
  Server: ServerClass,
  entry: '_onrequest' | '_onnotification',
): { onmessage(message: unknown, extra: object): void; seen: unknown[] } {
  const server = new Server({ name: 'pins', version: '1.0.0' }, { capabilities: {} });
  const transport = {
    onmessage: (_message: unknown, _extra: object): void => {},
    start: async () => {},
    send: async () => {},
    close: async () => {},
  };
  const seen: unknown[] = [];
  Object.defineProperty(server, entry, { value: (message: unknown) => void seen.push(message) });
  void server.connect(transport);
  return { onmessage: (message, extra) => transport.onmessage(message, extra), seen };
}

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
  fc.oneof({ weight: 20 - weight, arbitrary: fc.constant(undefined) }, { weight, arbitrary: value });
/** Near requests: most are valid, some are not. */
const message = fc
  .record({
    jsonrpc: mostly(fc.constant('2.0'), fc.jsonValue()),
    id: mostly(fc.oneof(fc.integer(), fc.string(), fc.maxSafeInteger()), fc.oneof(fc.double(), fc.jsonValue())),
    method: mostly(fc.string(), fc.jsonValue()),
    params: maybe(12, params),
    result: maybe(1, fc.jsonValue()),
    error: maybe(1, fc.jsonValue()),
    other: maybe(1, fc.jsonValue()),
  })
  .map((value) => JSON.parse(JSON.stringify(value)) as unknown);

const notification = message.map((value) => {
  const { id: _, ...rest } = value as Record<string, unknown>;
  return rest;
});

describe.each(builds)('%s', (_name, Server) => {
  test('passes each request and notification to its entry as it is, and does nothing else with it', () => {
    expect(failedCheck(Server)).toBeUndefined();
  });

  test.each([
    ['request', '_onrequest'],
    ['notification', '_onnotification'],
  ] as const)('takes every message for a %s that this library takes for one', (kind, entry) => {
    const { onmessage, seen } = messagesSeen(Server, entry);
    let found = 0;
    fc.assert(
      fc.property(kind === 'request' ? message : notification, (value) => {
        if (checkMessage(value).kind !== kind) return;
        found += 1;
        seen.length = 0;
        onmessage(value, {});
        expect(seen).toEqual([value]);
        expect(seen[0]).toBe(value);
      }),
      { numRuns: 2_000 },
    );
    expect(found).toBeGreaterThan(300);
  });
});

// Future versions of the SDK, in which the short way would leave something out.

/** It sees every message through a separate transport. */
class Between extends v2.Server {
  override async connect(transport: v2.Transport): Promise<void> {
    const between = { start: async () => {}, send: async () => {}, close: async () => {} };
    Object.defineProperty(between, 'onmessage', {
      set(onmessage: NonNullable<v2.Transport['onmessage']>) {
        transport.onmessage = onmessage;
      },
    });
    await super.connect(between);
  }
}

class Twice extends v2.Server {
  override async connect(transport: v2.Transport): Promise<void> {
    const connecting = super.connect(transport);
    const { onmessage } = transport;
    transport.onmessage = (value, extra) => onmessage?.(value, extra);
    await connecting;
  }
}

/** `onmessage` is set once, and does what `receive` says. */
function receiving(receive: (server: object, passOn: (message: unknown) => void, message: unknown) => void): unknown {
  return class extends v2.Server {
    seen: unknown[] = [];
    override async connect(transport: v2.Transport): Promise<void> {
      Reflect.set(this, '_transport', transport);
      const server = this as unknown as Record<'_onrequest' | '_onnotification', (...args: unknown[]) => void>;
      transport.onmessage = (message, extra) => {
        const entry = 'id' in message ? '_onrequest' : '_onnotification';
        receive(this, (passed) => server[entry](passed, extra), message);
      };
    }
  };
}

const Counting = receiving((server, passOn, value) => {
  (server as { seen: unknown[] }).seen.push(value);
  passOn(value);
});
const Copying = receiving((_server, passOn, value) => passOn({ ...(value as object) }));
const Picking = receiving((_server, passOn, value) => {
  if ('id' in (value as object)) passOn(value);
});
const Later = receiving((_server, passOn, value) => queueMicrotask(() => passOn(value)));

class Throwing extends v2.Server {
  override connect(): Promise<void> {
    throw new Error('not so');
  }
}

describe('the self-check of the short way fails for a server that', () => {
  test.each([
    ['sets onmessage twice', Twice, /does not set onmessage once/],
    ['is connected to another transport', Between, /does not keep the transport/],
    ['counts its messages', Counting, /changes the server/],
    ['copies its messages', Copying, /as it is/],
    ['keeps its notifications', Picking, /a notification to _onnotification as it is/],
    ['passes requests on later', Later, /as it is/],
    ['throws', Throwing, /self-check failed: not so/],
  ])('%s', (_what, Server, problem) => {
    expect(failedCheck(Server as ServerClass)).toMatch(problem);
  });
});
