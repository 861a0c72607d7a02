/** A stream without a client and a store: its sinks note what they get, and its log stores when the test says so. */
import type { Sink } from '../../src/http/sink.ts';
import type { SessionEventLog } from '../../src/session/streams/event-log.ts';
import type { ReplayOutcome, WriteOutcome } from '../../src/stores/store.ts';
import { createFakeTime } from '../../src/testing/index.ts';

/** Lets what follows a settled promise run. */
export const soon = (): Promise<void> => new Promise((done) => setImmediate(done));

export const RETRY_MS = 1_000;

export interface NotedSink extends Sink {
  isOpen: boolean;
  full: Promise<void> | undefined;
}

/** Notes in `seen` what it gets and how it ends. */
export function notedSink(
  seen: unknown[],
  name: string,
  { isRelayed = false, takes = 'events' }: Partial<Pick<Sink, 'isRelayed' | 'takes'>> = {},
): NotedSink {
  const sink: NotedSink = {
    isOpen: true,
    full: undefined,
    isRelayed,
    takes,
    listener: undefined,
    message: (json, id) => seen.push(id === undefined ? `${name} gets ${json}` : `${name} gets ${json} as ${id}`),
    point: (id, retryMs, emptyData) => seen.push(`${name} at ${id}, retry ${retryMs}${emptyData ? '' : ', comment'}`),
    end: () => {
      seen.push(`${name} ends`);
      sink.isOpen = false;
      sink.listener?.sinkClosed(sink);
    },
    handOver: (mayHaveRun) => seen.push(`${name} moves${mayHaveRun ? '' : ' unsent'}`),
    room: () => sink.full,
  };
  return sink;
}

interface NotedAppend {
  readonly stream: string;
  readonly from: number;
  readonly events: readonly string[];
  readonly complete: boolean;
  readonly extra: unknown;
  settle(outcome: WriteOutcome): Promise<void>;
  fail(): Promise<void>;
}

/** `resumes`: its clients come back after an end of the response. `late`: a store outside of this process. */
export function notedLog(seen: unknown[], { resumes = true, late = false } = {}) {
  const appends: NotedAppend[] = [];
  const reads: Array<(outcome: ReplayOutcome) => Promise<void>> = [];
  const state = { late, fenced: 0 };
  const time = createFakeTime();
  const ownership = {
    epoch: 1,
    left: false,
    claimedSince: async () => false,
    fenced: () => (state.fenced += 1),
  };
  const log = {
    retryMs: RETRY_MS,
    emptyData: resumes,
    ownership,
    options: { timeProvider: time, waitMs: RETRY_MS },
    eventId: (stream: string, offset: number, suffix: string) => `${stream}-${offset}${suffix}`,
    append: (stream: string, from: number, events: readonly string[], complete: boolean, extra: unknown) => {
      seen.push(`stored ${[...events, ...(complete ? ['the end'] : [])].join(', ')}`);
      let settle: (outcome: WriteOutcome) => void = () => {};
      let fail: (cause: Error) => void = () => {};
      const outcome = new Promise<WriteOutcome>((resolve, reject) => ([settle, fail] = [resolve, reject]));
      appends.push({
        stream,
        from,
        events,
        complete,
        extra,
        settle: (result) => (settle(result), soon()),
        fail: () => (fail(new Error('away')), soon()),
      });
      return state.late ? outcome : 'written';
    },
    read: () => new Promise<ReplayOutcome>((resolve) => reads.push((outcome) => (resolve(outcome), soon()))),
    lostAnswer: () => (resumes ? undefined : 'an error'),
    hold: () => true,
    release: () => {},
    failed: () => {},
  };
  return { log: log as unknown as SessionEventLog, appends, reads, state, time };
}
