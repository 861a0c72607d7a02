/** Streams that take no more events are kept in few entries, whatever the number of POSTs. */
import { expect, test } from 'vitest';
import { postStreamKey } from '../../src/session/streams/event-id.ts';
import { CompletedStreams } from '../../src/stores/nats/completed-streams.ts';

test('the streams of consecutive POSTs share one entry per owner', () => {
  const streams = new CompletedStreams();
  const names = [1, 40].flatMap((epoch) => Array.from({ length: 5_000 }, (_, n) => postStreamKey(epoch, n)));
  for (const name of names) streams.add(name);
  expect(streams.size).toBe(2);
  const stored = new CompletedStreams(streams.entries());
  expect(names.every((name) => stored.has(name))).toBe(true);
  expect(stored.has(postStreamKey(1, 5_000)) || stored.has(postStreamKey(2, 0))).toBe(false);
});
