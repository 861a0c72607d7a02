/** Judges the streams that clients read: in order, nothing twice, nothing missing. */
import { parseEventId, sessionTag } from '../../src/session/streams/event-id.ts';
import { grouped, type Ledger, type Received } from './ledger.ts';
import type { StoreData, StoredEvent } from './store-data.ts';

type Say = (session: string, what: string) => void;

interface Delivery extends Received {
  readonly id: string;
  readonly epoch: number;
  readonly stream: string;
  readonly offset: number;
}

export function checkStreams(ledger: Ledger, data: StoreData | undefined, say: Say): void {
  const all = ledger.received.flatMap((received): Delivery[] => {
    const { id, session } = received;
    if (id === undefined) return [];
    const position = parseEventId(id);
    if (position?.tag !== sessionTag(session))
      say(session, `an event id that is none of ${session}: ${id}`);
    if (position === undefined) return [];
    if (!position.ended) return [{ ...received, ...position, id }];
    // An error in place of a stream has no position.
    if (!isRefusal(received.data, position.call))
      say(session, `a stream ended with ${id}: ${received.data}`);
    return [];
  });
  for (const [key, deliveries] of grouped(all, ({ session, stream }) => `${session} ${stream}`)) {
    const [session = '', stream = ''] = key.split(' ');
    const stored = data?.everStored.get(session)?.get(stream) ?? new Map<number, StoredEvent>();
    const gaps = new Set(
      ledger.gaps.filter((gap) => gap.session === session).map(({ from }) => from),
    );
    for (const { offset, data: text } of deliveries)
      if (data !== undefined && text !== '' && stored.get(offset)?.data !== text)
        say(session, `${key}: event ${offset} is not what was stored: ${text}`);
    const readers = new Set(deliveries.map(({ reader }) => reader));
    const reached = new Set(deliveries.map(({ offset }) => offset));
    const missing = (offset: number): boolean =>
      !reached.has(offset) && (stored.get(offset)?.data ?? '') !== '';
    for (const one of readers) {
      const ofReader = deliveries.filter(({ reader }) => reader === one);
      checkReader(ofReader, gaps, missing, (what) => say(session, `${key}: ${what}`));
    }
    if (readers.size === 1) continue;
    const replays = (data?.replays ?? []).filter(
      (replay) => replay.id === session && replay.stream === stream,
    );
    const replayed = ({ offset, storeNow }: Delivery): boolean =>
      replays.some(
        ({ at, after }) => after < offset && at >= (stored.get(offset)?.at ?? 0) && at <= storeNow,
      );
    checkReaders(deliveries, replayed, (what) => say(session, `${key}: ${what}`));
  }
}

/** Whether the data of an event is the error that ends a call with this id. */
function isRefusal(text: string, call: string | number | undefined): boolean {
  const { id, error } = JSON.parse(text || '{}') as { id?: unknown; error?: unknown };
  return error !== undefined && id === call;
}

/** What one reader of a stream got, which comes back with the id of the last event that it got. */
function checkReader(
  deliveries: readonly Delivery[],
  gaps: ReadonlySet<string>,
  missing: (offset: number) => boolean,
  say: (what: string) => void,
): void {
  let last: Delivery | undefined;
  for (const delivery of deliveries) {
    const { epoch, offset, data: text, at } = delivery;
    // A frozen owner that wakes must not add to what the next one continues.
    if (last !== undefined && epoch < last.epoch)
      say(`event ${offset} of epoch ${epoch} came after epoch ${last.epoch}`);
    // A priming event repeats its reader's position.
    if (last !== undefined && (text === '' ? offset < last.offset : offset <= last.offset)) {
      if (!gaps.has(last.id)) say(`event ${offset} came after event ${last.offset}, at ${at}`);
    } else if (last !== undefined && !gaps.has(last.id)) {
      for (let n = last.offset + 1; n < offset; n++)
        if (missing(n)) say(`event ${n} is missing before event ${offset}, at ${at}`);
    }
    last = delivery;
  }
}

/**
 * A call that resumes its stream after its end gets the GET stream, where no other reader has it. The reader that comes
 * back for the GET stream reads that from the log, because its event id is older. What is said later goes to one of
 * them.
 */
function checkReaders(
  deliveries: readonly Delivery[],
  replayed: (event: Delivery) => boolean,
  say: (what: string) => void,
): void {
  const first = new Map<number, string>();
  for (const delivery of deliveries) {
    const { offset, data: text, reader, at } = delivery;
    if (text === '') continue;
    const before = first.get(offset) ?? reader;
    first.set(offset, before);
    if (before !== reader && !replayed(delivery))
      say(`event ${offset} reached ${before} and ${reader}, at ${at}`);
  }
}
