/**
 * Creates the streams that are missing and checks those that exist. Several processes may do so at once. An
 * administrator may change replicas, placement and limits that refuse. Any other difference is an error that names it.
 */
import type { Logger } from '../../types.ts';
import { apiFailure, CODES, unfitStream, type ApiError } from './failures.ts';
import { ask } from './jetstream.ts';
import type { NatsLink } from './link.ts';
import { STREAMS, streamName, streamSubjects, type StreamKey } from './names.ts';

/** A cluster needs less than half of this to create a stream. */
const CREATE_MS = 1_200;
/**
 * Another instance has just created the stream, perhaps for a longer log, or is creating it: its subjects are taken
 * before its name is. If another stream has the subjects, ours is still missing afterwards.
 */
const MAYBE_MADE: ReadonlySet<number | undefined> = new Set([CODES.streamExists, CODES.subjectsOverlap]);
const NANOSECONDS = 1_000_000;
/** Longer times mean for ever: a hundred years. */
const LONGEST_MS = 3_153_600_000_000;
/**
 * How many messages a bucket with replicas keeps of each key. If several arrive at the same moment, one counts, and it
 * must still be there (`keyed-values.ts`).
 */
const RACING = 5;
/** Streams in which a subject is a key and its newest message is the value. */
const isBucket = (key: StreamKey): boolean => key === 'records' || key === 'instances';

/** The shares of the streams in `maxBytes`, about what 100,000 records with moderate use need. */
const SHARES: Readonly<Record<StreamKey, number>> = {
  records: 0.3,
  instances: 0.01,
  log: 0.6,
  places: 0.04,
  agenda: 0.05,
};

export interface StreamsOptions {
  readonly prefix: string;
  readonly replicas: number;
  /** The limit of all streams together; Infinity: no limit. */
  readonly maxBytes: number;
  readonly logger: Logger;
}

interface Config {
  readonly name: string;
  readonly subjects?: readonly string[];
  readonly retention?: string;
  readonly storage?: string;
  readonly num_replicas?: number;
  readonly max_age?: number;
  readonly max_msgs_per_subject?: number;
  readonly discard?: string;
  readonly max_bytes?: number;
  readonly max_msgs?: number;
  readonly deny_delete?: boolean;
  readonly deny_purge?: boolean;
  readonly sealed?: boolean;
  readonly mirror?: unknown;
  readonly [key: string]: unknown;
}

export class Streams {
  readonly #link: NatsLink;
  readonly #options: StreamsOptions;
  readonly #found = new Map<StreamKey, Config>();
  #logAgeMs = 0;
  #ensuring: Promise<void> | undefined;
  #warned = false;

  constructor(link: NatsLink, options: StreamsOptions) {
    this.#link = link;
    this.#options = options;
  }

  /** Ensures that the log keeps messages at least this long. */
  async require(logAgeMs: number, deadline: number): Promise<void> {
    this.#logAgeMs = Math.max(this.#logAgeMs, logAgeMs);
    await this.#ensuring?.catch(() => undefined);
    await this.ensure(deadline);
  }

  /** Whether several servers keep the stream. */
  replicated(key: StreamKey): boolean {
    return (this.#found.get(key)?.num_replicas ?? 1) > 1;
  }

  /** Whether the stream has at most one message per subject. */
  keepsOne(key: StreamKey): boolean {
    return this.#found.get(key)?.max_msgs_per_subject === 1;
  }

  ensure(deadline: number): Promise<void> {
    this.#ensuring ??= Promise.all(STREAMS.map((key) => this.#ensure(key, deadline)))
      .then(() => undefined)
      .finally(() => (this.#ensuring = undefined));
    return this.#ensuring;
  }

  async #ensure(key: StreamKey, deadline: number): Promise<void> {
    const wanted = this.#wanted(key);
    let refused: ApiError | undefined;
    for (let tries = 0; ; tries++) {
      const info = await this.#ask('STREAM.INFO', wanted.name, {}, deadline);
      if (info.config !== undefined) return this.#accept(key, info.config, wanted, deadline);
      if (info.error?.err_code !== CODES.streamNotFound) throw this.#failed('STREAM.INFO', info.error);
      if (tries > 1) throw this.#failed('STREAM.CREATE', refused ?? info.error);
      const made = await this.#create(wanted, deadline);
      if (made?.config !== undefined) return void this.#found.set(key, made.config);
      refused = made?.error;
      if (made !== undefined && !MAYBE_MADE.has(refused?.err_code)) throw this.#failed('STREAM.CREATE', refused);
    }
  }

  /** `undefined`: no answer. While a cluster creates a stream, it does not answer a second request. */
  async #create(wanted: Config, deadline: number): Promise<Answer | undefined> {
    const until = this.#link.now() + CREATE_MS;
    try {
      return await this.#ask('STREAM.CREATE', wanted.name, wanted, Math.min(deadline, until));
    } catch (error) {
      if (this.#link.now() >= deadline) throw error;
      return undefined;
    }
  }

  async #accept(key: StreamKey, found: Config, wanted: Config, deadline: number): Promise<void> {
    const why = whyUnfit(key, found, wanted);
    if (why !== undefined) throw unfitStream(this.#link.where, wanted.name, why);
    this.#warnReplicas(found);
    const change = changes(key, found, wanted);
    if (change === undefined) return void this.#found.set(key, found);
    const changed = await this.#ask('STREAM.UPDATE', wanted.name, { ...found, ...change }, deadline);
    if (changed.config === undefined) throw this.#failed('STREAM.UPDATE', changed.error);
    this.#found.set(key, changed.config);
  }

  #warnReplicas({ name, num_replicas: replicas = 1 }: Config): void {
    if (replicas === this.#options.replicas || this.#warned) return;
    this.#warned = true;
    this.#options.logger.warn(
      { stream: name, replicas, asked: this.#options.replicas },
      'The stream has another number of replicas than the option says and is not changed; nats stream edit changes it',
    );
  }

  #wanted(key: StreamKey): Config {
    const { prefix, replicas, maxBytes } = this.#options;
    const limited = Number.isFinite(maxBytes);
    return {
      name: streamName(prefix, key),
      subjects: streamSubjects(prefix, key),
      retention: 'limits',
      storage: 'file',
      num_replicas: replicas,
      max_age: key === 'log' ? nanoseconds(this.#logAgeMs) : 0,
      max_msgs_per_subject: isBucket(key) ? (replicas > 1 ? RACING : 1) : -1,
      // A full log drops its oldest messages, as it does by age. Every other stream must keep all messages.
      discard: isBucket(key) || (limited && key !== 'log') ? 'new' : 'old',
      max_consumers: -1,
      max_msgs: -1,
      max_bytes: limited ? Math.floor(maxBytes * SHARES[key]) : -1,
      max_msg_size: -1,
      allow_rollup_hdrs: isBucket(key),
      allow_direct: false,
      deny_delete: false,
      deny_purge: false,
    };
  }

  #ask(what: string, name: string, request: object, deadline: number): Promise<Answer> {
    return ask<{ config?: Config }>(this.#link, `${what}.${name}`, request, deadline);
  }

  #failed(what: string, error: ApiError = { code: 0 }): Error {
    return apiFailure(this.#link.where, what, error);
  }
}

interface Answer {
  readonly config?: Config;
  readonly error?: ApiError;
}

/** 0 means for ever. */
const nanoseconds = (ms: number): number => (ms > LONGEST_MS ? 0 : Math.ceil(ms) * NANOSECONDS);

const lasts = ({ max_age: found = 0 }: Config, { max_age: wanted = 0 }: Config): boolean =>
  found === 0 || (wanted > 0 && found >= wanted);

/** The changes that an otherwise suitable stream needs. */
function changes(key: StreamKey, found: Config, wanted: Config): Partial<Config> | undefined {
  if (key === 'log') return lasts(found, wanted) ? undefined : { max_age: wanted.max_age ?? 0 };
  const { num_replicas: replicas = 1, max_msgs_per_subject: kept = -1 } = found;
  return isBucket(key) && replicas > 1 && kept < RACING ? { max_msgs_per_subject: RACING } : undefined;
}

function whyUnfit(key: StreamKey, found: Config, wanted: Config): string | undefined {
  const subjects = [...(found.subjects ?? [])].sort().join(', ');
  const needed = [...(wanted.subjects ?? [])].sort().join(', ');
  if (subjects !== needed) return `its subjects are ${subjects || 'none'} instead of ${needed}`;
  if (found.mirror !== undefined) return 'it is a mirror';
  if (found.sealed === true) return 'it is sealed';
  if (found.retention !== wanted.retention) return `its retention is ${found.retention} instead of ${wanted.retention}`;
  if (found.storage !== wanted.storage) return `its storage is ${found.storage} instead of ${wanted.storage}`;
  if (found.deny_delete === true) return 'its messages may not be deleted (deny_delete)';
  if (found.deny_purge === true) return 'its messages may not be purged (deny_purge)';
  const { max_msgs_per_subject: kept = -1 } = found;
  if (isBucket(key) ? kept < 1 : kept !== -1) return `it keeps ${kept} messages of a subject (max_msgs_per_subject)`;
  if (key === 'log') return undefined;
  if (found.max_age !== undefined && found.max_age > 0) return 'it forgets messages by their age (max_age)';
  const limited = (found.max_bytes ?? -1) > 0 || (found.max_msgs ?? -1) > 0;
  return limited && found.discard !== 'new' ? 'when it is full it drops the oldest messages (discard: old)' : undefined;
}
