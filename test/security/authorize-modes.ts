/** Every mode and era in which `auth.authorize` is asked, each as one way to send a request. */
import {
  completable,
  McpServer,
  requireScopes,
  ResourceTemplate,
  type AuthInfo,
} from '@modelcontextprotocol/server';
import { z } from 'zod';
import type { AuthOptions, McpEndpointFactory, McpEndpointOptions } from '../../src/index.ts';
import type { RawHeaders } from '../kit/raw-client.ts';
import { bearer } from '../kit/issuer.ts';
import { inMatrix } from '../kit/matrix.ts';
import { serve, type Face } from '../kit/serve.ts';
import { said } from '../kit/tool-server.ts';
import { type Guarded, type Params, type Way, WAYS } from '../kit/ways.ts';

const info = (token: string): AuthInfo => ({
  token,
  clientId: 'c',
  scopes: [],
  expiresAt: Math.floor(Date.now() / 1_000) + 600,
  extra: { sub: 'ada', role: token },
});

/** Looks like a name that this library puts in place of a refused one, and holds the given name. */
export const concealed = (name: string): string =>
  `sojourn-unknown:${Buffer.from(name).toString('base64url')}`;

/** Every one is refused. */
export const NAMES: readonly string[] = [
  'secret',
  `${concealed('open')}=secret`,
  `${concealed('note://open')}=secret`,
  'sojourn-unknown:secret',
  `sojourn-unknown:${concealed('open')}=secret`,
  `sojourn-unknown:${'A'.repeat(43)}secret`,
  'secret\ud800',
  '\udfffsecret',
  'se\ud83dcret secret',
  'secret\u0000',
  'secret"\\\n',
  'secret $& $1 $$',
  '\u202esecret',
  '__proto__.secret',
  ' secret ',
  `secret ${'x'.repeat(10_000)}`,
];

/**
 * Names of resources as a server registers them, and URIs that mean the same resource: an SDK server looks a resource up
 * by `new URL(uri).href`.
 */
export const SPELLINGS: Readonly<Record<string, readonly string[]>> = {
  'note://secret': [
    'NOTE://secret',
    ' note://secret ',
    'no\tte://sec\r\nret',
    '\u0000note://secret\u001f',
  ],
  'secret://box/7': [
    'Secret://box/7',
    'secret://box/x/../7',
    'secret://box/./7',
    'secret://box/x/%2e%2E/7',
  ],
  'file:///vault/secret': [
    'file://LOCALHOST/vault/secret',
    'file:vault\\x\\..\\secret',
    'file://loc%61lhost/vault/secret',
  ],
  'file:///vault/the%20secret': ['file:///vault/the secret', 'file:/vault/\tthe secret'],
  'file:///vault/secret-%C3%A9': ['file:///vault/secret-é'],
  'https://example.com/secret': [
    'https://EXAMPLE.com:0443/secret',
    'https:\\\\ex%61mple.com\\secret',
    'https:example.com/a/%2e%2E/secret',
    'https://ｅxa\u00admple。com/secret',
    'https://:@example.com:/secret',
  ],
  'https://xn--bcher-kva.example/secret': [
    'https://BÜCHER.example/secret',
    'https://bu\u0308cher.example/secret',
  ],
  'http://127.0.0.1/secret': [
    'http://0x7f.1/secret',
    'http://2130706433/secret',
    'http://127.0.0.1.:80/secret',
  ],
};
export const RESOURCES: readonly string[] = Object.keys(SPELLINGS);
export const SPELLED: readonly string[] = Object.values(SPELLINGS).flat();

const argument = { name: 'id', value: 'x' };

type Request = readonly [
  method: string,
  params: (name: unknown) => Params,
  names: readonly string[],
];

/** Requests that name something, and names of `secretServer` that are refused there. */
const REQUESTS: readonly Request[] = [
  ['tools/call', (name) => ({ name, arguments: argument }), ['secret', 'secret "quoted"']],
  ['prompts/get', (name) => ({ name, arguments: { a: 'x' } }), ['secret']],
  ['resources/read', (uri) => ({ uri }), ['note://secret', 'secret://7']],
  ['completion/complete', (name) => ({ ref: { type: 'ref/prompt', name }, argument }), ['secret']],
  [
    'completion/complete',
    (uri) => ({ ref: { type: 'ref/resource', uri }, argument }),
    ['secret://{id}'],
  ],
];
const SUBSCRIBE: Request = ['resources/subscribe', (uri) => ({ uri }), ['note://secret']];

export const requestsOf = ({ subscribes }: Pick<Way, 'subscribes'>): readonly Request[] =>
  subscribes ? [...REQUESTS, SUBSCRIBE] : REQUESTS;

/** A header cannot carry every name as it is. */
export const mirroredName = (name: unknown): RawHeaders =>
  typeof name === 'string'
    ? { 'mcp-name': `=?base64?${Buffer.from(name).toString('base64')}?=` }
    : {};

/** The name by which an SDK server finds a resource. */
export const hrefOf = (uri: string): string => (URL.canParse(uri) ? new URL(uri).href : uri);

export const text = (answer: unknown): string => JSON.stringify(answer) ?? '';

/** Refused exactly as it is written, as policies refuse names. */
const REFUSED: ReadonlySet<string> = new Set([
  ...NAMES,
  ...RESOURCES,
  ...REQUESTS.flatMap(([, , names]) => names),
  'secret://box/{id}',
]);

/** The caller `admin` may use everything. */
const may = (name: string, { extra }: AuthInfo): boolean =>
  extra?.['role'] === 'admin' || !REFUSED.has(name);

export const HOOKS: Readonly<Record<string, AuthOptions['authorize']>> = {
  'at once': (_kind, name, authInfo) => may(name, authInfo),
  later: async (_kind, name, authInfo) => {
    await new Promise((turn) => setImmediate(turn));
    return may(name, authInfo);
  },
  'by throwing': (_kind, name, authInfo) => {
    if (!may(name, authInfo)) throw new Error('the policy engine is away');
    return true;
  },
  'with what is not a boolean': ((_kind: string, name: string, authInfo: AuthInfo) =>
    may(name, authInfo) || 'no') as never,
};

export const optionsOf = (
  authorize: AuthOptions['authorize'],
  more: McpEndpointOptions = {},
): McpEndpointOptions => ({
  auth: { verify: async (token) => info(token), authorize },
  ...more,
});

type Start = (authorize: AuthOptions['authorize'], secrets?: Guarded) => Promise<Mode>;

export function secretServer(): Guarded {
  const ran: string[] = [];
  const factory: McpEndpointFactory = (ctx) => {
    const server = new McpServer(
      { name: 'secrets', version: '1' },
      { ...ctx.serverOptions, capabilities: { resources: { subscribe: true } } },
    );
    const run = (name: string) => {
      if (name.includes('secret')) ran.push(name);
      return said(name);
    };
    const message = {
      messages: [{ role: 'user' as const, content: { type: 'text' as const, text: 'x' } }],
    };
    // What is refused asks for a scope and for a header too, which its callers would hear of.
    const inputSchema = z.looseObject({});
    const mirrored = z.looseObject({
      name: z.string().optional().meta({ 'x-mcp-header': 'Name' }),
    });
    const argsSchema = z.object({
      a: completable(z.string(), () => [run('secret').content.length.toString()]),
    });
    server.registerTool('open', { inputSchema }, () => run('open'));
    server.registerPrompt('open', {}, () => message);
    for (const name of NAMES) {
      server.registerTool(name, { inputSchema: mirrored, scopeChallenge: requireScopes('x') }, () =>
        run(name),
      );
      server.registerPrompt(name, { argsSchema }, () => {
        ran.push(`${name} prompt`);
        return message;
      });
    }
    const read = (uri: URL) => {
      run(uri.href);
      return { contents: [{ uri: uri.href, text: uri.href }] };
    };
    server.registerResource('open', 'note://open', {}, read);
    for (const name of RESOURCES.filter((one) => !one.startsWith('secret:')))
      server.registerResource(name, name, {}, read);
    for (const uri of ['vault://{id}', 'secret://box/{id}'])
      server.registerResource(uri, new ResourceTemplate(uri, { list: undefined }), {}, read);
    server.registerResource(
      'secret by id',
      new ResourceTemplate('secret://{id}', {
        list: undefined,
        complete: { id: (text) => [run(`secret ${text}`).content.length.toString()] },
      }),
      {},
      read,
    );
    server.server.setRequestHandler('resources/subscribe', ({ params }) => {
      run(hrefOf(params.uri));
      return {};
    });
    server.server.setRequestHandler('resources/unsubscribe', () => ({}));
    return server;
  };
  return { ran, factory };
}

type Ask = (
  method: string,
  params?: Params,
  role?: string,
  headers?: RawHeaders,
) => Promise<{ status: number; answer: unknown }>;
interface Mode extends Omit<Way, 'send'> {
  readonly ask: Ask;
}

export const as = (role: string) => bearer(role);

export async function open(
  options: McpEndpointOptions,
  face: Face = 'listen',
  secrets = secretServer(),
) {
  const { ran, factory } = secrets;
  return { ran, served: await serve(factory, options, { face }) };
}

export const MODES: Readonly<Record<string, Start>> = Object.fromEntries(
  Object.entries(WAYS).map(([name, begin]): [string, Start] => [
    name,
    async (authorize, secrets = secretServer()) => {
      const callers = { options: optionsOf(authorize), opener: 'user', headersOf: as };
      const { send, ...way } = await begin(callers, secrets);
      const ask: Ask = async (method, params = {}, role = 'user', headers = {}) => {
        const { status, answer } = await send(method, params, role, headers);
        return { status, answer: await answer() };
      };
      return { ...way, ask };
    },
  ]),
);

/** A name is replaced before its way matters: each way has the few names of `authorize.test.ts`, these have each name. */
export function someModes(...names: readonly string[]): ReadonlyArray<[string, Start]> {
  const all = Object.entries(MODES);
  return inMatrix<[string, Start]>(
    all,
    all.filter(([name]) => names.includes(name)),
  );
}
