/** A server whose arguments, results and errors are texts that occur nowhere else. */
import { McpServer } from '@modelcontextprotocol/server';
import * as z from 'zod/v4';

export const TOKEN = 'canary-token-5f1d9a';
export const ARGUMENT = 'canary-argument-77ab2e';
export const RESULT = 'canary-result-c04d11';
export const THROWN = 'canary-thrown-9e2f63';
export const QUERY = 'canary-query-31b7aa';
export const CONTROL = '\u001b[2J\u0007\r\n{"level":60}\u2028\u009b';
export const KINDS = [
  'result',
  'error result',
  'throw',
  'throw of an argument',
  'throw of no error',
  'output',
];

/** Answers a call in the way of `kind`. */
function answer({ secret, kind }) {
  const content = [{ type: 'text', text: RESULT }];
  switch (kind) {
    case 'result':
      return { content, structuredContent: { n: 1 } };
    case 'error result':
      return { content, isError: true };
    case 'throw':
      throw Object.assign(new TypeError(`${THROWN}\n    at ${THROWN} (file:///${THROWN}:1:1)`), {
        name: THROWN + CONTROL,
      });
    case 'throw of an argument':
      throw Object.assign(new Error(secret, { cause: new Error(THROWN) }), {
        code: secret,
        detail: secret,
      });
    case 'throw of no error':
      throw secret;
    default:
      return { content, structuredContent: { n: RESULT } };
  }
}

function keeper() {
  const server = new McpServer({ name: 'keeper', version: '1.0.0' });
  const inputSchema = z.object({ secret: z.string(), kind: z.enum(KINDS) });
  server.registerTool('keep', { inputSchema, outputSchema: z.object({ n: z.number() }) }, answer);
  server.registerTool('stay', { inputSchema: z.object({ secret: z.string() }) }, () => {
    process.stdout.write('a call stays\n');
    return new Promise(() => {});
  });
  server.registerTool('wait', {}, () => ({ content: [{ type: 'text', text: 'done' }] }));
  server.registerPrompt('ask', { argsSchema: z.object({ secret: z.string() }) }, () => {
    throw new Error(THROWN);
  });
  server.registerResource('file', `file:///${QUERY}`, {}, () => {
    throw new Error(THROWN);
  });
  return server;
}

function verify(token) {
  if (token === TOKEN)
    return { token, clientId: 'c', scopes: [], expiresAt: 4_000_000_000, extra: { sub: 'alice' } };
  throw Object.assign(new Error(`${token} is wrong`), {
    name: 'OAuthError',
    code: 'invalid_token',
  });
}

export default {
  factory: keeper,
  options: { auth: { verify }, leaseMs: 1_000, maxWaitMs: 20_000 },
};
