import { expect, test } from 'vitest';
import { telemetry } from '../../../src/endpoint/otel/index.ts';
import {
  type AddOn,
  createMcpEndpoint,
  type McpEndpointOptions,
  type Middleware,
} from '../../../src/index.ts';
import { tool } from '../../kit/lab.ts';
import { serve } from '../../kit/serve.ts';
import { toolServer } from '../../kit/tool-server.ts';
import { until } from '../../kit/until.ts';

test('add-ons run beside the options: each observer and onerror hears, and their middleware is around', async () => {
  const heard: string[] = [];
  const hooks = (name: string): AddOn => {
    const middleware: Middleware = async ({ method }, next) => {
      if (method === 'tools/call') heard.push(`${name} begins`);
      return next();
    };
    return {
      middleware,
      observe: ({ kind }) => {
        if (kind === 'sessionOpened') heard.push(`${name} observes`);
        if (name === 'first') throw new Error('its own fault');
      },
      onerror: ({ message }) => message === 'mine' && heard.push(`${name}: mine`),
    };
  };
  const tools = toolServer({
    fails: () => {
      throw new Error('mine');
    },
  });
  const { openSession } = await serve(tools, {
    ...hooks('own'),
    use: [hooks('first'), hooks('second')],
  });
  const client = await openSession();
  await client.call(...tool('fails'));
  await until(() => heard.length >= 9);
  const each = (what: string) => ['first', 'second', 'own'].map((name) => `${name}${what}`);
  expect(heard).toEqual([...each(' observes'), ...each(' begins'), ...each(': mine')]);
});

const observe = (): void => {};
const middleware: Middleware = (_request, next) => next();

test.each<[spread: string, McpEndpointOptions]>([
  ['The options', { ...telemetry(), observe }],
  ['Option use[0]', { use: [{ ...telemetry(), middleware }] }],
])(
  'telemetry() that is spread is refused, because its functions belong together: %s',
  (where, options) => {
    expect(() => createMcpEndpoint(toolServer({}), options)).toThrow(
      expect.objectContaining({
        name: 'TypeError',
        code: 'OPTION_INVALID',
        message: expect.stringContaining(`${where} spread an add-on`),
      }),
    );
  },
);

test('telemetry() passed as it is leaves observe and middleware to the options', async () => {
  const options = { use: [telemetry()], observe, middleware };
  await createMcpEndpoint(toolServer({}), options).close();
});
