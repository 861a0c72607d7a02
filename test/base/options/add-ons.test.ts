import { expect, test } from 'vitest';
import type { AddOn, Middleware } from '../../../src/index.ts';
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
