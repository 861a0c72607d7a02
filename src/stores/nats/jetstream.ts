/**
 * The JetStream requests that the store uses, in JSON
 * (https://docs.nats.io/reference/reference-protocols/nats_api_reference). All of them exist since server 2.9. The
 * leader of a stream answers reads; the store never uses `allow_direct`, with which any replica may answer.
 *
 * Compare-and-set goes through `keyed-values.ts`.
 *
 * If a stream is missing, it is created and the request is repeated, because a server may restart empty.
 */
import type { Deadlines } from '../shared/deadlines.ts';
import type { Headers, NatsLink } from './link.ts';
import { apiFailure, CODES, STORAGE_FULL, unanswered, unreadable, type ApiError } from './failures.ts';
import { streamName, type StreamKey } from './names.ts';

const API = '$JS.API';
/** The expected sequence of the last message of the subject. */
const EXPECTED = 'Nats-Expected-Last-Subject-Sequence';
/** The sequence that the writer replaces, if that differs. */
const AFTER = 'Sojourn-After';
/** The server drops the second of two messages with the same id within two minutes. */
const ID = 'Nats-Msg-Id';

/** A message of a stream. */
export interface Stored {
  readonly subject: string;
  readonly seq: number;
  /** ms since 1970 by the clock of the server that leads the stream. */
  readonly at: number;
  readonly data: Buffer;
  /** Another program deleted the key of a bucket, so there is no value. */
  readonly deleted: boolean;
  /** The message that this one replaces or continues, according to its writer; undefined: any. */
  readonly after: number | undefined;
}

export interface Publish {
  /** The sequence of the last message of the subject; 0 for none. Absent: any, and the message may be stored twice. */
  readonly expect?: number;
  readonly after?: number;
  /** The server stores one message per id within two minutes. */
  readonly id?: string;
}

export interface JetStreamOptions {
  readonly link: NatsLink;
  readonly prefix: string;
  /** Each request is answered or refused within their limit. */
  readonly deadlines: Deadlines;
  /** Creates missing streams. */
  ensure(deadline: number): Promise<void>;
  /** Called when a write finds the storage full. */
  full(): void;
}

export class JetStream {
  readonly link: NatsLink;
  readonly #prefix: string;
  readonly #deadlines: Deadlines;
  readonly #ensure: (deadline: number) => Promise<void>;
  readonly #full: () => void;

  constructor({ link, prefix, deadlines, ensure, full }: JetStreamOptions) {
    this.link = link;
    this.#prefix = prefix;
    this.#deadlines = deadlines;
    this.#ensure = ensure;
    this.#full = full;
  }

  /** The sequence of the message; `undefined`: the subject has another last message than expected. */
  async publish(
    subject: string,
    body: Uint8Array,
    { expect, after = expect, id }: Publish = {},
  ): Promise<number | undefined> {
    const headers: Headers = {
      ...(expect !== undefined && { [EXPECTED]: String(expect) }),
      ...(after !== expect && { [AFTER]: String(after) }),
      ...(id !== undefined && { [ID]: id }),
    };
    const deadline = this.#deadlines.deadline();
    for (let tries = 0; ; tries++) {
      const request = (): ReturnType<NatsLink['request']> => this.link.request(subject, body, deadline, headers);
      const answer = await (expect === undefined ? this.#twice(request) : request());
      if (answer === undefined) {
        if (tries > 0) throw unanswered(this.link.where, subject);
        await this.#ensure(deadline);
        continue;
      }
      const ack = parse(this.link.where, answer.data) as { seq?: number; error?: ApiError };
      if (ack.seq !== undefined && ack.error === undefined) return ack.seq;
      const { error = { code: 0 } } = ack;
      if (error.err_code === CODES.wrongLastSequence || error.err_code === CODES.wrongLastSequenceUnknown)
        return undefined;
      if (STORAGE_FULL.has(error.err_code)) this.#full();
      throw apiFailure(this.link.where, `a message to ${subject}`, error);
    }
  }

  /** The newest message of a subject. */
  last(stream: StreamKey, subject: string): Promise<Stored | undefined> {
    return this.#get(stream, { last_by_subj: subject });
  }

  at(stream: StreamKey, seq: number): Promise<Stored | undefined> {
    return this.#get(stream, { seq });
  }

  /** The oldest message of a subject from a sequence on. */
  next(stream: StreamKey, subject: string, from: number): Promise<Stored | undefined> {
    return this.#get(stream, { seq: from, next_by_subj: subject });
  }

  async remove(stream: StreamKey, seq: number): Promise<void> {
    await this.#ask('STREAM.MSG.DELETE', stream, { seq, no_erase: true }, MISSING);
  }

  /** Removes the messages of a subject that are older than `before`. */
  async purge(stream: StreamKey, subject: string, before: number): Promise<void> {
    await this.#ask('STREAM.PURGE', stream, { filter: subject, seq: before });
  }

  /** The matching subjects that have messages. */
  async subjects(stream: StreamKey, filter: string): Promise<ReadonlySet<string>> {
    const found = new Set<string>();
    for (let offset = 0; ;) {
      const request = { subjects_filter: filter, offset };
      const answer = await this.#ask<Info>('STREAM.INFO', stream, request);
      const page = Object.keys(answer?.state.subjects ?? {});
      for (const subject of page) found.add(subject);
      offset += page.length;
      if (page.length === 0 || offset >= (answer?.total ?? 0)) return found;
    }
  }

  /** How many messages a subject has, or all that a pattern matches. */
  async count(stream: StreamKey, subject: string): Promise<number> {
    const answer = await this.#ask<Info>('STREAM.INFO', stream, { subjects_filter: subject });
    return Object.values(answer?.state.subjects ?? {}).reduce((sum, count) => sum + count, 0);
  }

  async #get(stream: StreamKey, request: object): Promise<Stored | undefined> {
    const answer = await this.#ask<{ message: Message }>('STREAM.MSG.GET', stream, request, [CODES.noMessage]);
    if (answer === undefined) return undefined;
    const { subject, seq, time, data = '', hdrs } = answer.message;
    const headers = hdrs === undefined ? '' : Buffer.from(hdrs, 'base64').toString();
    const after = AFTER_HEADER.exec(headers) ?? EXPECTED_HEADER.exec(headers);
    return {
      subject,
      seq,
      at: Date.parse(time),
      data: Buffer.from(data, 'base64'),
      deleted: DELETED_HEADER.test(headers),
      after: after === null ? undefined : Number(after[1]),
    };
  }

  /** Sends a request that may be repeated. After a lost connection it is sent once more. */
  async #twice<T>(request: () => Promise<T>): Promise<T> {
    const { losses } = this.link;
    try {
      return await request();
    } catch (error) {
      if (this.link.losses === losses) throw error;
      return request();
    }
  }

  /** `undefined`: the answer is one of the errors in `nothing`. */
  async #ask<T>(
    what: string,
    stream: StreamKey,
    request: object,
    nothing: readonly number[] = [],
  ): Promise<T | undefined> {
    const name = streamName(this.#prefix, stream);
    const deadline = this.#deadlines.deadline();
    for (let tries = 0; ; tries++) {
      const answer = await this.#twice(() => ask<T>(this.link, `${what}.${name}`, request, deadline));
      const { error } = answer;
      if (error === undefined) return answer;
      if (nothing.includes(error.err_code ?? 0)) return undefined;
      if (error.err_code !== CODES.streamNotFound || tries > 0)
        throw apiFailure(this.link.where, `${what}.${name}`, error);
      await this.#ensure(deadline);
    }
  }
}

/** The errors for a message that was removed before: "no message found", "sequence 5 not found". */
const MISSING: readonly number[] = [CODES.noMessage, CODES.deleteFailed, CODES.sequenceNotFound];

const AFTER_HEADER = /^Sojourn-After: ?(\d+)/m;
const EXPECTED_HEADER = /^Nats-Expected-Last-Subject-Sequence: ?(\d+)/m;
const DELETED_HEADER = /^KV-Operation: ?(?:DEL|PURGE)\r?$/m;

interface Message {
  readonly subject: string;
  readonly seq: number;
  readonly time: string;
  readonly data?: string;
  readonly hdrs?: string;
}

interface Info {
  readonly total?: number;
  readonly state: { readonly subjects?: Readonly<Record<string, number>> };
}

/** One request of the API. Returns its answer or its error. */
export async function ask<T>(
  link: NatsLink,
  what: string,
  request: object,
  deadline: number,
): Promise<T & { readonly error?: ApiError }> {
  const answer = await link.request(`${API}.${what}`, Buffer.from(JSON.stringify(request)), deadline);
  if (answer === undefined) throw unanswered(link.where, `${API}.${what}`);
  return parse(link.where, answer.data) as T & { readonly error?: ApiError };
}

function parse(where: string, data: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString());
  } catch (cause) {
    throw unreadable(where, 'an answer', cause);
  }
}
