import { expect, test } from 'vitest';
import { FetchExchange } from '../../src/http/fetch-exchange.ts';

test('a client that leaves its stream is no error to whoever carries the body', async () => {
  const abort = new AbortController();
  const exchange = new FetchExchange(
    new Request('http://a.example/mcp', { signal: abort.signal }),
    undefined,
    undefined,
  );
  let left = 0;
  exchange.onClose(() => (left += 1));
  exchange.openStream([['Content-Type', 'text/event-stream']]);
  const reader = (await exchange.response).body?.getReader();
  exchange.write('one');
  expect(new TextDecoder().decode((await reader?.read())?.value)).toBe('one');
  abort.abort();
  expect(await reader?.read()).toEqual({ done: true, value: undefined });
  expect(left).toBe(1);
  expect(exchange.closed).toBe(true);
  exchange.write('two');
  exchange.end();
});

test('a reader that is cut for being too slow gets an error', async () => {
  const exchange = new FetchExchange(new Request('http://a.example/mcp'), undefined, undefined);
  let left = 0;
  exchange.onClose(() => (left += 1));
  exchange.openStream([['Content-Type', 'text/event-stream']]);
  const reader = (await exchange.response).body?.getReader();
  exchange.write('12345');
  expect(exchange.pendingBytes).toBe(5);
  exchange.destroy();
  await expect(reader?.read()).rejects.toThrow('its reader is too slow');
  expect(left).toBe(1);
});
