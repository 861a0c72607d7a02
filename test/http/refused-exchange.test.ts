/** One turn brings thousands of pipelined requests: those that are answered must not be kept until it ends. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { FetchExchange } from '../../src/http/fetch-exchange.ts';
import { memoryRows } from '../../src/limits/held.ts';
import { exchangeHost } from '../kit/exchange-host.ts';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

test.each([
  { what: 'for which there is no room', room: 1, held: false },
  { what: 'that is answered', room: 1_000_000, held: true },
])('a request $what is not kept until its turn ends', async ({ room, held }) => {
  const host = exchangeHost((cause) => {
    throw cause;
  }, memoryRows(room).requests);
  // Runs before what the request may leave for the end of the turn, which is another immediate.
  const collected = new Promise<boolean>((resolve) => {
    setImmediate(() => {
      gc();
      resolve(exchange.deref() === undefined);
    });
  });
  const exchange = refused();
  expect(await collected).toBe(true);

  function refused(): WeakRef<FetchExchange> {
    const made = new FetchExchange(new Request('http://a.example/mcp'), {}, host);
    expect(made.holds(1_000)).toBe(held);
    made.respond(503, [], '');
    return new WeakRef(made);
  }
});
