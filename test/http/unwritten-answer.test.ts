import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { guarded } from '../../src/http/answer.ts';
import { NodeExchange } from '../../src/http/node-exchange.ts';
import { memoryRows } from '../../src/limits/held.ts';
import { exchangeHost } from '../kit/exchange-host.ts';

test('the bytes of a request are given back where its answer cannot be written', async () => {
  const { requests } = memoryRows(1_000_000);
  const host = exchangeHost(() => {}, requests);
  let used: number | undefined;
  const server = createServer((req, res) => {
    res.setHeader = () => {
      throw new Error('of a middleware');
    };
    const exchange = new NodeExchange(req, res, undefined, host);
    exchange.holds(1_000);
    used = requests.used;
    guarded(exchange, () => exchange.respond(200, [['Content-Type', 'application/json']], '{}'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => {});
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await closed;
  expect(used).toBeGreaterThan(0);
  expect(requests.used).toBe(0);
});
