/** What readers of a stream get while a resume reads its log. */
import { expect, test } from 'vitest';
import type { ReplayOutcome } from '../../../src/stores/store.ts';
import { GET_STREAM } from '../../../src/session/streams/event-id.ts';
import { Stream } from '../../../src/session/streams/stream.ts';

/** A GET stream whose log takes every event at once, and is read when the test says so. */
function openStream() {
  let read: ((outcome: ReplayOutcome) => void) | undefined;
  const log = {
    options: { retryMs: 1_000 },
    clientResumes: true,
    append: () => 'written',
    read: () => new Promise<ReplayOutcome>((resolve) => (read = resolve)),
    hold: () => true,
    release: () => {},
    eventId: (_stream: string, offset: number) => String(offset),
  };
  const stream = new Stream(GET_STREAM, log as never);
  const sinkOf = (got: string[]) =>
    ({
      isOpen: true,
      takes: 'events',
      message: (json: string) => got.push(json),
      point: (id: string) => got.push(`point ${id}`),
      sendHead: () => {},
      end: () => got.push('end'),
    }) as never;
  const resume = async (
    got: string[],
    offset: number,
    outcome: () => ReplayOutcome,
  ): Promise<boolean> => {
    const resumed = stream.resumes.run(
      () => sinkOf(got),
      { offset, resumes: 0 },
      () => {},
    );
    await new Promise(setImmediate);
    stream.send('held');
    read?.(outcome());
    return resumed;
  };
  return { stream, sinkOf, resume };
}

test('a resumed reader gets what the log has and what is stored meanwhile, each once', async () => {
  const { stream, resume } = openStream();
  stream.send('a');
  stream.send('b');
  const got: string[] = [];
  const events = [
    { offset: 1, data: 'b' },
    { offset: 2, data: 'held' },
  ];
  expect(await resume(got, 0, () => ({ found: true, events, next: 3, complete: false }))).toBe(
    true,
  );
  stream.send('c');
  expect(got).toEqual(['point 0', 'b', 'held', 'c']);
});

test('a reader before a resume that the log refuses reads on', async () => {
  const { stream, sinkOf, resume } = openStream();
  const got: string[] = [];
  stream.use(sinkOf(got));
  stream.send('a');
  expect(await resume([], 0, () => ({ found: false, why: 'unknown' }))).toBe(false);
  expect(got).toEqual(['a', 'held']);
});

test('a reader that comes during such a resume gets all that is stored from then on, in order', async () => {
  const { stream, sinkOf, resume } = openStream();
  stream.send('a');
  const got: string[] = [];
  const opens = (): ReplayOutcome => {
    stream.use(sinkOf(got));
    void stream.storePoint();
    return { found: false, why: 'unknown' };
  };
  expect(await resume([], 0, opens)).toBe(false);
  stream.send('c');
  expect(got).toEqual(['held', 'point 2', 'c']);
});
