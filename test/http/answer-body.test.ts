import { expect, test } from 'vitest';
import { AnswerBody } from '../../src/http/answer-body.ts';

const TEXT = 'ж'.repeat(100_000);
const BYTES = 200_000;

function bodyOf() {
  const over = { times: 0 };
  return { body: new AnswerBody(() => (over.times += 1)), over };
}

/** A stream of several messages, read while it is written. */
async function partsOf(
  write: (body: AnswerBody) => unknown,
): Promise<{ readonly text: string; readonly largest: number }> {
  const { body } = bodyOf();
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

test('a body arrives whole in small parts, whether its client reads before or after a message is written', async () => {
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

test('what is written is pending until it is pulled, and the last pull ends a body that is complete', async () => {
  const { body, over } = bodyOf();
  body.write(TEXT);
  body.end();
  expect([body.pendingBytes, over.times]).toEqual([BYTES, 0]);
  expect(await new Response(body.stream).text()).toBe(TEXT);
  expect([body.pendingBytes, over.times]).toEqual([0, 1]);
});

test('an adapter that gives the body up tells it, and nothing is pending', async () => {
  const { body, over } = bodyOf();
  body.write(TEXT);
  const reader = body.stream.getReader();
  await reader.read();
  await reader.cancel();
  body.write(TEXT);
  expect([body.pendingBytes, over.times]).toEqual([0, 1]);
});

test('a body that is closed is complete to its client, and what is written then is dropped', async () => {
  const { body } = bodyOf();
  body.close();
  body.write(TEXT);
  body.close();
  expect([body.pendingBytes, await new Response(body.stream).text()]).toEqual([0, '']);
});

test('a body that fails is not complete', async () => {
  const { body } = bodyOf();
  body.write(TEXT);
  body.close(new Error('too slow'));
  expect(body.pendingBytes).toBe(0);
  await expect(new Response(body.stream).text()).rejects.toThrow('too slow');
});
