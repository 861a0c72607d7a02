import { once } from 'node:events';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { LongBody, RestOfStream } from '../../src/http/long-body.ts';
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

test('a long answer is charged until its reader has taken it, and arrives whole', async () => {
  const { answers, readers } = readersOf();
  const body = new LongBody(TEXT, plain, 'user ann', readers);
  expect(answers.used).toBe(BYTES);
  expect(await new Response(body.stream).text()).toBe(TEXT);
  expect([answers.used, body.pendingBytes]).toEqual([0, 0]);
});

test('a client that leaves gives the bytes back', async () => {
  const { answers, readers } = readersOf();
  const body = new LongBody(TEXT, plain, 'user ann', readers);
  const reader = body.stream.getReader();
  await reader.read();
  await reader.cancel();
  expect([answers.used, body.pendingBytes]).toEqual([0, 0]);
});

test('a user past its share loses the answer that is pending the longest, and others keep theirs', async () => {
  const { answers, cut, readers } = readersOf(5 * BYTES);
  const other = new LongBody(TEXT, plain, 'user bob', readers);
  const [first] = Array.from({ length: 3 }, () => new LongBody(TEXT, plain, 'user ann', readers));
  expect(cut).toEqual(['memory']);
  expect(answers.used).toBe(3 * BYTES);
  await expect(new Response(first?.stream).text()).rejects.toThrow(/The connection was cut/);
  expect(await new Response(other.stream).text()).toBe(TEXT);
});

test('an answer that its client does not read is given back when its connection closes', async () => {
  const { answers, readers } = readersOf();
  const { socket, request } = requestOn();
  const body = new LongBody(TEXT, request, 'user ann', readers);
  expect(answers.used).toBe(BYTES);
  socket.destroy();
  await once(socket, 'close');
  expect([answers.used, body.pendingBytes]).toEqual([0, 0]);
  expect(await new Response(body.stream).text()).toBe('');
  const late = new LongBody(TEXT, request, 'user ann', readers);
  expect([answers.used, late.pendingBytes]).toEqual([0, 0]);
});

test('an answer for which there is no room closes its connection', async () => {
  const { answers, cut, readers } = readersOf(BYTES);
  const { socket, request } = requestOn();
  const body = new LongBody(TEXT, request, 'user ann', readers);
  expect([cut, answers.used, body.pendingBytes, socket.destroyed]).toEqual([['memory'], 0, 0, true]);
  await once(socket, 'close');
});

function streamOf(rest: () => RestOfStream | undefined) {
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  const stream = new ReadableStream<Uint8Array>(
    { start: (given) => void (controller = given), pull: () => rest()?.close(), cancel: () => rest()?.over() },
    new ByteLengthQueuingStrategy({ highWaterMark: 0 }),
  );
  controller.enqueue(new Uint8Array(BYTES));
  return { stream, controller };
}

test('the rest of a stream is charged until its client has taken it', async () => {
  const { answers, readers } = readersOf();
  const { stream, controller } = streamOf(() => rest);
  const rest = new RestOfStream(controller, plain, 'user ann', readers);
  expect(answers.used).toBe(BYTES);
  expect((await new Response(stream).arrayBuffer()).byteLength).toBe(BYTES);
  expect(answers.used).toBe(0);
});

test.each(['leaves', 'is cut', 'has gone'])('the rest of a stream is given back when its client %s', async (how) => {
  const { answers, readers } = readersOf();
  const { stream, controller } = streamOf(() => rest);
  const { socket, request } = requestOn();
  const rest = new RestOfStream(controller, request, 'user ann', readers);
  expect(answers.used).toBe(BYTES);
  if (how === 'leaves') await stream.cancel();
  else if (how === 'is cut') rest.cut();
  else await once(socket.destroy(), 'close');
  expect([answers.used, socket.destroyed]).toEqual([0, how !== 'leaves']);
});
