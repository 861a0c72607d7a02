/**
 * The event log: an append is one script, which looks at the fence and at the place in its stream, then adds an element to
 * the session's log. Those of one turn leave in one packet.
 */
import type { EventRetention } from '../../types.ts';
import type { AppendRequest, EventStore, Marker, OpenStreamInfo, ReplayOutcome, WriteOutcome } from '../store.ts';
import type { Ledger } from './ledger.ts';
import { keptEvents, pack } from './log-elements.ts';
import { fieldsOf, markerField } from './records.ts';
import { APPEND, OPEN_STREAMS, REPLAY } from './session-scripts.ts';

export class RedisEvents implements EventStore {
  readonly #ledger: Ledger;
  readonly #retention: EventRetention | false;
  /** How scripts take it. */
  readonly #kept: readonly [events: string, bytes: string, ms: string];

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
    this.#retention = ledger.retention;
    this.#kept = keptArguments(ledger.retention);
  }

  append(request: AppendRequest): Promise<WriteOutcome> {
    const { sessionId, fence, stream, from, events, complete, requests = '', mark, unmark } = request;
    const { text, bytes } = pack(events);
    const done = complete === true ? '1' : '';
    const args = [...this.#kept, stream, String(from), String(events.length), text, done];
    if (requests !== '' || mark !== undefined || unmark !== undefined || bytes !== '') {
      const [written, removed] = [mark, unmark === undefined ? undefined : { request: unmark, stream }].map(fieldOf);
      args.push(requests, written ?? '', removed ?? '', bytes);
    }
    const [head, , , open, known, log] = this.#ledger.keys.session(sessionId);
    return this.#ledger.fenced(APPEND, sessionId, [head, open, known, log], fence, args, this.#ledger.outcome);
  }

  async replay(sessionId: string, stream: string, after: number): Promise<ReplayOutcome> {
    const retention = this.#retention;
    if (retention === false) return { found: false, why: 'unknown' };
    const [head, , , open, , log] = this.#ledger.keys.session(sessionId);
    const args = [...this.#kept, stream, String(after)];
    const reply = (await this.#ledger.run(REPLAY, [head, open, log], args)) as ReplayReply | null;
    if (reply === null) return { found: false, why: 'unknown' };
    const [now, length, ...elements] = reply;
    const openNext = length === null ? undefined : Number(length);
    const kept = keptEvents(elements, retention, Number(now));
    const first = kept[0]?.offset;
    if (first === undefined && openNext === undefined) return { found: false, why: 'unknown' };
    const next = openNext ?? (kept.at(-1)?.offset ?? 0) + 1;
    if ((first ?? next) > after + 1) return { found: false, why: 'gap' };
    const events = kept.filter(({ offset }) => offset > after);
    return { found: true, events, next, complete: openNext === undefined };
  }

  async open(sessionId: string): Promise<readonly OpenStreamInfo[]> {
    const [head, , , open] = this.#ledger.keys.session(sessionId);
    const reply = await this.#ledger.run(OPEN_STREAMS, [head, open], []);
    const streams: OpenStreamInfo[] = [];
    for (const [field, value] of fieldsOf(reply)) {
      if (!field.startsWith('s')) continue;
      const end = value.indexOf('\n');
      const [next, requests] = end === -1 ? [value, null] : [value.slice(0, end), value.slice(end + 1)];
      streams.push({ stream: field.slice(1), next: Number(next), requests });
    }
    return streams;
  }

  /** What is too old goes by itself. */
  trim(): void {}
}

type ReplayReply = readonly [now: string, length: string | null, ...elements: string[]];

const fieldOf = (marker: Marker | undefined): string | undefined => marker && markerField(marker);

function keptArguments(retention: EventRetention | false): readonly [string, string, string] {
  if (retention === false) return ['', '', ''];
  const { events, bytes, ttlMs } = retention;
  return [scriptNumber(events), scriptNumber(bytes), scriptNumber(ttlMs)];
}

const scriptNumber = (n: number): string => (n === Infinity ? 'inf' : String(n));
