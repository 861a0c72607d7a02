/** The streams of a session's POSTs: their names, and which can be resumed while they run. */
import { requestKey } from './call-guard.ts';
import type { MessageContext } from './context.ts';
import { postStreamKey } from './event-id.ts';
import { Stream } from './stream.ts';
import type { AnsweredCall, StreamLog } from './stream-writer.ts';

export class PostStreams {
  readonly #epoch: number;
  #opened = 0;
  /** Only logged streams can be asked for again. */
  #running: Map<string, Stream> | undefined;

  constructor(epoch: number) {
    this.#epoch = epoch;
  }

  /**
   * The stream of a POST with `requests` requests in it, without a reader yet. `call`: its request, where it is one.
   */
  open(requests: number, answersOnly: boolean, log: StreamLog | undefined, call: AnsweredCall | undefined): Stream {
    const stream = new Stream(postStreamKey(this.#epoch, this.#opened++), log, 0, answersOnly, call);
    stream.awaited = requests;
    stream.requests = requests;
    if (log !== undefined) (this.#running ??= new Map()).set(stream.key, stream);
    return stream;
  }

  /** The stream of an earlier owner, with one request to answer. */
  adopt(key: string, next: number, log: StreamLog, call: AnsweredCall | undefined): Stream {
    const stream = new Stream(key, log, next, false, call);
    stream.awaited = 1;
    (this.#running ??= new Map()).set(key, stream);
    return stream;
  }

  /** It is complete, and stored as that: the log answers for it. */
  forget(key: string): void {
    this.#running?.delete(key);
  }

  running(key: string): Stream | undefined {
    return this.#running?.get(key);
  }

  /** Resolves when what was said on them so far is stored, answers included. */
  async flushed(): Promise<void> {
    for (const stream of this.#running?.values() ?? []) await stream.flushed();
  }

  /** An answer to its stream; the last one completes it. */
  reply({ stream, id, marked, untold }: MessageContext, json: string): void {
    if (stream === undefined) return;
    stream.awaited -= 1;
    const last = stream.awaited === 0;
    stream.send(json, last, marked && !untold && id !== undefined ? requestKey(id) : undefined);
    if (last) this.#completed(stream);
  }

  /** Until its end is stored the log alone would tell a client that nothing more comes. */
  #completed(stream: Stream): void {
    if (stream.flushing) stream.whenFlushed(() => this.forget(stream.key));
    else this.forget(stream.key);
  }

  /** Its request was cancelled by the client: it ends without an answer, when no other is awaited. */
  cancel({ stream, id, marked, untold }: MessageContext): void {
    if (stream === undefined) return;
    stream.awaited -= 1;
    if (stream.awaited > 0) return;
    stream.finish(marked && !untold && id !== undefined ? requestKey(id) : undefined);
    this.#running?.delete(stream.key);
  }
}
