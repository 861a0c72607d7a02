/** A GET stream in a memory that has no room even for a short event. */
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { WriteOutcome } from '../../../src/stores/store.ts';
import { GET_STREAM } from '../../../src/session/streams/event-id.ts';
import { Stream } from '../../../src/session/streams/stream.ts';
import { until } from '../../../src/testing/until.ts';

test('a long event is dropped, and list_changed of each kind is sent once', async () => {
  const kinds = ['tools', 'prompts', 'resources'];
  const sent: string[] = [];
  const append = async (): Promise<WriteOutcome> => {
    await delay(1);
    return 'written';
  };
  const skipped = (): void => {
    for (const kind of kinds) stream.send(kind);
  };
  const host = { options: {}, ownership: {} };
  const log = {
    ...host,
    append,
    skipped,
    hold: () => false,
    release: () => {},
    eventId: () => undefined,
  };
  const stream = new Stream(GET_STREAM, log as never);
  stream.use({ message: (json: string) => sent.push(json) } as never);
  stream.send('x'.repeat(2_000));
  await until(() => sent.length === kinds.length);
  await delay(10);
  expect(sent).toEqual(kinds);
});
