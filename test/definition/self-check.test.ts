/**
 * The self-check, against the classes of the installed SDKs and against classes that keep the state of a connection in
 * a place that a definition does not know.
 */
import { createRequire } from 'node:module';
import { Server } from '@modelcontextprotocol/server';
import { Server as ServerV1 } from '@modelcontextprotocol/sdk/server/index.js';
import { describe, expect, test } from 'vitest';
import { failedCheck } from '../../src/definition/self-check.ts';
import type { SdkServerClass } from '../../src/sdk/sdk-server.ts';

const require = createRequire(import.meta.url);
const { Server: CommonJsServer } = require('@modelcontextprotocol/server') as { Server: unknown };
const { Server: CommonJsServerV1 } = require('@modelcontextprotocol/sdk/server/index.js') as { Server: unknown };

const asClass = (value: unknown): SdkServerClass => value as SdkServerClass;

interface SetLevel {
  readonly params: { readonly level: string };
}
interface Initialize {
  readonly params: { readonly clientInfo: unknown };
}
type Handlers = Map<string, (request: never, ctx: { sessionId?: string }) => unknown>;

function handlersOf(server: object): Handlers {
  return Reflect.get(server, '_requestHandlers') as Handlers;
}

/** A new field for the log level. */
class LevelsElsewhere extends Server {
  levels = new Map<string | undefined, string>();
  constructor(...args: ConstructorParameters<typeof Server>) {
    super(...args);
    handlersOf(this).set('logging/setLevel', async ({ params }: SetLevel, ctx) => {
      this.levels.set(ctx.sessionId, params.level);
      return {};
    });
  }
}

/** A private field, which cannot be seen from outside. */
class HiddenLevels extends Server {
  #level: string | undefined = undefined;
  constructor(...args: ConstructorParameters<typeof Server>) {
    super(...args);
    handlersOf(this).set('logging/setLevel', async ({ params }: SetLevel) => {
      this.#level = params.level;
      return {};
    });
    Reflect.set(this, 'isMessageIgnored', () => this.#level === 'error');
  }
}

/** `initialize` no longer goes through a method. */
class InlineInitialize extends Server {
  client: unknown = undefined;
  constructor(...args: ConstructorParameters<typeof Server>) {
    super(...args);
    handlersOf(this).set('initialize', async ({ params }: Initialize) => {
      this.client = params.clientInfo;
      return { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: {} };
    });
  }
}

/** The client is in a place that all servers share. */
let lastClient: { name: string; version: string } | undefined;
class OneClient extends Server {
  constructor(...args: ConstructorParameters<typeof Server>) {
    super(...args);
    const own = handlersOf(this).get('initialize');
    handlersOf(this).set('initialize', (request: never, ctx) => {
      lastClient = (request as { params: { clientInfo: { name: string; version: string } } }).params.clientInfo;
      return own?.(request, ctx);
    });
  }
  override getClientVersion(): { name: string; version: string } | undefined {
    return lastClient;
  }
}

/** Each server remembers what any of them was told. */
const everyLevel: string[] = [];
class SharedList extends Server {
  everyLevel = everyLevel;
  constructor(...args: ConstructorParameters<typeof Server>) {
    super(...args);
    handlersOf(this).set('logging/setLevel', async (_request: never, ctx) => {
      const levels = Reflect.get(this, '_loggingLevels') as Map<string | undefined, string>;
      levels.set(ctx.sessionId, everyLevel.length === 0 ? 'error' : 'debug');
      everyLevel.push(ctx.sessionId ?? '');
      return {};
    });
  }
}

/** A field that a definition forwards has another name. */
class RenamedField extends Server {
  constructor(...args: ConstructorParameters<typeof Server>) {
    super(...args);
    Reflect.deleteProperty(this, '_negotiatedProtocolVersion');
  }
}

describe('the self-check of a definition', () => {
  test.each([
    ['@modelcontextprotocol/server', Server],
    ['@modelcontextprotocol/server, CommonJS', CommonJsServer],
    ['@modelcontextprotocol/sdk', ServerV1],
    ['@modelcontextprotocol/sdk, CommonJS', CommonJsServerV1],
  ])('passes with %s', (_name, serverClass) => {
    expect(failedCheck(asClass(serverClass))).toBeUndefined();
  });

  test.each([
    ['keeps the log level in a new field', LevelsElsewhere, /wrote levels.* of the shared server/],
    ['keeps the log level in a private field', HiddenLevels, /was sent/],
    ['handles initialize without its method', InlineInitialize, /wrote client of the shared server/],
    ['keeps the client in a global variable', OneClient, /does not see its client/],
    ['keeps values of all sessions in each server', SharedList, /wrote everyLevel|value of another session/],
    ['lacks a field that is forwarded', RenamedField, /has no _negotiatedProtocolVersion/],
  ])('fails for a server that %s', (_what, serverClass, problem) => {
    expect(failedCheck(asClass(serverClass))).toMatch(problem);
  });

  test('takes a few milliseconds once the SDK has run', () => {
    // Each class is checked once, so each round takes a new class.
    const rounds = Array.from({ length: 5 }, () => {
      const fresh = asClass(class extends Server {});
      const from = performance.now();
      expect(failedCheck(fresh)).toBeUndefined();
      return performance.now() - from;
    });
    expect(Math.min(...rounds)).toBeLessThan(50);
  });
});
