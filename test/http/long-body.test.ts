import { once } from 'node:events';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { PartedBody, UnreadAnswer } from '../../src/http/long-body.ts';
import { SlowReaders } from '../../src/http/slow-readers.ts';
import { memoryRows } from '../../src/limits/held.ts';
import { createFakeTime } from '../../src/testing/index.ts';

const TEXT = 'ж'.repeat(100_000);
const BYTES = 200_000;

/** Of no adapter: nothing is known of its connection. */
const plain = new Request('http://a.example/mcp');

/** A request as `@hono/node-server` gives it, and its connection. */
function requestOn() {
  const socket = new Socket();
  const key = Symbol('incomingKey');
  const incoming = new IncomingMessage(socket);
  incoming.httpVersionMajor = 1;
  return { socket, request: Object.assign(new Request('http://a.example/mcp'), { [key]: incoming }) };
}

function readersOf(bytes = Infinity) {
  const { answers } = memoryRows(bytes, 0.5);
  const cut: string[] = [];
  const time = createFakeTime();
  const readers = new SlowReaders({ time, memory: answers, writeTimeoutMs: 60_000, onCut: (why) => cut.push(why) });
  return { answers, cut, readers };
}

function answerOf(request: Request, share: string, readers: SlowReaders): PartedBody {
  const body = new PartedBody();
  body.write(TEXT);
  expect(new UnreadAnswer(body, request, share, readers).pendingBytes).toBe(body.pendingBytes);
  return body;
}

test('a long answer is charged until its reader has taken it, and arrives whole', async () => {
  const { answers, readers } = readersOf();
  const body = answerOf(plain, 'user ann', readers);
  expect(answers.used).toBe(BYTES);
  expect(await new Response(body.stream).text()).toBe(TEXT);
  expect([answers.used, body.pendingBytes]).toEqual([0, 0]);
});

test('a client that leaves gives the bytes back', async () => {
  const { answers, readers } = readersOf();
  const body = answerOf(plain, 'user ann', readers);
  const reader = body.stream.getReader();
  await reader.read();
  await reader.cancel();
  expect([answers.used, body.pendingBytes]).toEqual([0, 0]);
});

test('a user past its share loses the answer that is pending the longest, and others keep theirs', async () => {
  const { answers, cut, readers } = readersOf(5 * BYTES);
  const other = answerOf(plain, 'user bob', readers);
  const [first] = Array.from({ length: 3 }, () => answerOf(plain, 'user ann', readers));
  expect(cut).toEqual(['memory']);
  expect(answers.used).toBe(3 * BYTES);
  await expect(new Response(first?.stream).text()).rejects.toThrow(/The connection was cut/);
  expect(await new Response(other.stream).text()).toBe(TEXT);
});

test('an answer that its client does not read is given back when its connection closes', async () => {
  const { answers, readers } = readersOf();
  const { socket, request } = requestOn();
  const body = answerOf(request, 'user ann', readers);
  expect(answers.used).toBe(BYTES);
  socket.destroy();
  await once(socket, 'close');
  expect([answers.used, body.pendingBytes]).toEqual([0, 0]);
  expect(await new Response(body.stream).text()).toBe('');
  const late = answerOf(request, 'user ann', readers);
  expect([answers.used, late.pendingBytes]).toEqual([0, 0]);
});

test('an answer for which there is no room closes its connection', async () => {
  const { answers, cut, readers } = readersOf(BYTES);
  const { socket, request } = requestOn();
  const body = answerOf(request, 'user ann', readers);
  expect([cut, answers.used, body.pendingBytes, socket.destroyed]).toEqual([['memory'], 0, 0, true]);
  await once(socket, 'close');
});

/** A stream of several messages, read while it is written. */
async function partsOf(
  write: (body: PartedBody) => unknown,
): Promise<{ readonly text: string; readonly largest: number }> {
  const body = new PartedBody();
  const reader = body.stream.getReader();
  const parts: Uint8Array[] = [];
  const reading = (async () => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      parts.push(value);
    }
  })();
  await write(body);
  body.end();
  await reading;
  return { text: Buffer.concat(parts).toString(), largest: Math.max(...parts.map(({ length }) => length)) };
}

test('a stream arrives whole in small parts, whether its client reads before or after a message is written', async () => {
  const turn = () => new Promise((next) => setImmediate(next));
  const messages = ['a', TEXT, 'b', 'c', TEXT];
  const { text, largest } = await partsOf(async (body) => {
    for (const [n, message] of messages.entries()) {
      body.write(message);
      if (n % 2 === 0) await turn();
    }
  });
  expect(text).toBe(messages.join(''));
  expect(largest).toBe(16_384);
});

test.each(['leaves', 'is cut', 'has gone'])('the rest of a stream is given back when its client %s', async (how) => {
  const { answers, readers } = readersOf();
  const { socket, request } = requestOn();
  const body = new PartedBody();
  body.write(TEXT);
  const rest = new UnreadAnswer(body, request, 'user ann', readers);
  expect(answers.used).toBe(BYTES);
  if (how === 'leaves') await body.stream.cancel();
  else if (how === 'is cut') rest.cut();
  else await once(socket.destroy(), 'close');
  expect([answers.used, body.pendingBytes, socket.destroyed]).toEqual([0, 0, how !== 'leaves']);
});

test('what is written to a body that is over is dropped', async () => {
  const body = new PartedBody();
  body.close();
  body.write(TEXT);
  expect([body.pendingBytes, await new Response(body.stream).text()]).toEqual([0, '']);
});
