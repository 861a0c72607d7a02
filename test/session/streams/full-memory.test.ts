/** A GET stream in a memory that has no room even for a short event. */
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { WriteOutcome } from '../../../src/stores/store.ts';
import { GET_STREAM } from '../../../src/session/streams/event-id.ts';
import type { SessionEventLog } from '../../../src/session/streams/event-log.ts';
import { StoredStream } from '../../../src/session/streams/stored-stream.ts';

class Probe extends StoredStream {
  readonly #log: SessionEventLog;
  readonly sent: unknown[] = [];

  constructor(log: SessionEventLog) {
    super(GET_STREAM, log);
    this.#log = log;
  }

  send(json: string): void {
    this.store(this.#log, json, false, undefined);
  }

  protected stored(json: string | undefined): void {
    this.sent.push(json);
  }

  protected storingFailed(): void {}

  protected room(): undefined {
    return undefined;
  }
}

test('a long event is dropped, and list_changed of each kind is sent once', async () => {
  const kinds = ['tools', 'prompts', 'resources'];
  const append = async (): Promise<WriteOutcome> => {
    await delay(1);
    return 'written';
  };
  const skipped = (): void => {
    for (const kind of kinds) stream.send(kind);
  };
  const host = { options: {}, ownership: {} };
  const stream = new Probe({ ...host, append, skipped, hold: () => false, release: () => {} } as never);
  stream.send('x'.repeat(2_000));
  await delay(50);
  expect(stream.sent).toEqual(kinds);
});
