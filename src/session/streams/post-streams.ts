/** The streams of a session's POSTs: their names, and which of them can be resumed while they run. */
import { SmallMap } from '../../small-map.ts';
import { requestKey } from '../calls/call-guard.ts';
import type { MessageContext } from '../calls/context.ts';
import { postStreamKey } from './event-id.ts';
import { Stream } from './stream.ts';
import type { AnsweredCall, StreamLog } from './stream-log.ts';

export class PostStreams {
  readonly #epoch: number;
  #opened = 0;
  /** The logged streams: only those can be resumed. */
  #running: SmallMap<string, Stream> | undefined;

  constructor(epoch: number) {
    this.#epoch = epoch;
  }

  /** The stream of a POST with so many requests, still without a reader. `call`: its only request. */
  open(requests: number, answersOnly: boolean, log: StreamLog | undefined, call: AnsweredCall | undefined): Stream {
    const stream = new Stream(postStreamKey(this.#epoch, this.#opened++), log, 0, { answersOnly, requests, call });
    if (log !== undefined) (this.#running ??= new SmallMap()).set(stream.key, stream);
    return stream;
  }

  /** The stream of an earlier owner, with one request to answer. */
  adopt(key: string, next: number, log: StreamLog, call: AnsweredCall | undefined): Stream {
    const stream = new Stream(key, log, next, { answersOnly: false, requests: 1, call });
    (this.#running ??= new SmallMap()).set(key, stream);
    return stream;
  }

  /** The log holds the whole stream, and answers for it from here on. */
  forget(key: string): void {
    this.#running?.delete(key);
    // An idle session keeps no empty map.
    if (this.#running?.size === 0) this.#running = undefined;
  }

  running(key: string): Stream | undefined {
    return this.#running?.get(key);
  }

  /** Ends the readers that can resume at another instance. */
  letResume(): void {
    for (const stream of this.#running?.values() ?? []) stream.resuming.letResume();
  }

  /** Resolves when every message so far is stored, answers included. */
  async flushed(): Promise<void> {
    for (const stream of this.#running?.values() ?? []) await stream.flushed();
  }

  /** Sends an answer on its stream. The last answer completes the stream. */
  reply(context: MessageContext, json: string): void {
    const { stream } = context;
    if (stream === undefined) return;
    const isLast = stream.countAnswer();
    stream.send(json, isLast, markedRequest(context));
    if (isLast) this.#completed(stream);
  }

  /** Sends the answer of the only request of a stream, which has no context: `initialize`. */
  replyAlone(stream: Stream, json: string): void {
    stream.send(json, true);
    this.#completed(stream);
  }

  /** Keeps the stream until its end is stored: until then, the log shows a resuming client an incomplete stream. */
  #completed(stream: Stream): void {
    if (stream.flushing) stream.whenFlushed(() => this.forget(stream.key));
    else this.forget(stream.key);
  }

  /**
   * The client cancelled the request: its stream ends without an answer, unless it awaits the answer of another
   * request.
   */
  cancel(context: MessageContext): void {
    const { stream } = context;
    if (stream === undefined || !stream.countAnswer()) return;
    stream.finish(markedRequest(context));
    this.forget(stream.key);
  }
}

/** The request whose marker goes with the last event of its stream. */
function markedRequest({ marker, id }: MessageContext): string | undefined {
  return marker === 'stored' && id !== undefined ? requestKey(id) : undefined;
}
