/**
 * A real server with a clock of the test's: what it says of a stored message is changed on the way to the store, from
 * the time of the server to the time that the test had when the message was acknowledged.
 */
import type { Msg, NatsConnection, PublishOptions } from '@nats-io/transport-node';
import { systemTime } from '../../src/base/system.ts';
import type { TimeProvider } from '../../src/types.ts';
import { until } from '../kit/until.ts';

const BEGIN_MS = 1_767_225_600_000;
const STREAMS: Readonly<Record<string, string>> = { log: 'log', part: 'log', place: 'places', due: 'agenda' };

interface Answer {
  readonly stream?: string;
  readonly seq?: number;
  readonly message?: { readonly subject: string; readonly seq: number; readonly time: string };
}

export class FakeClock {
  #ms = BEGIN_MS;
  /** Where answers are awaited: the clock stops until they have come. */
  readonly #asked = new Set<string>();
  /** `stream seq` → when it was acknowledged. */
  readonly #stored = new Map<string, number>();

  readonly now = (): number => this.#ms;

  /** For the store; its timers are real. */
  readonly time: TimeProvider = { ...systemTime, now: this.now, monotonic: this.now };

  readonly pass = async (ms: number): Promise<void> => {
    await until(() => this.#asked.size === 0);
    this.#ms += ms;
  };

  /** The connection with this clock in its answers. */
  shownBy(connection: NatsConnection): NatsConnection {
    return new Proxy(connection, {
      get: (target, name) => {
        if (name === 'publish') {
          return (subject: string, data: Uint8Array, options: PublishOptions = {}) => {
            if (options.reply !== undefined && !subject.includes('.mail.')) this.#asked.add(options.reply);
            target.publish(subject, data, options);
          };
        }
        if (name === 'subscribe') {
          return (subject: string, options: { callback(error: Error | null, message: Msg): void }) =>
            target.subscribe(subject, {
              callback: (error, { subject: to, data, headers }) => {
                this.#asked.delete(to);
                options.callback(error, { subject: to, data: this.#change(data), headers } as Msg);
              },
            });
        }
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  }

  #change(data: Uint8Array): Uint8Array {
    const text = Buffer.from(data).toString();
    if (!text.startsWith('{')) return data;
    const answer = JSON.parse(text) as Answer;
    const { stream, seq, message } = answer;
    if (stream !== undefined && seq !== undefined) this.#stored.set(`${stream} ${seq}`, this.#ms);
    if (message === undefined) return data;
    const at = this.#stored.get(`${streamOf(message.subject)} ${message.seq}`) ?? this.#ms;
    return Buffer.from(JSON.stringify({ ...answer, message: { ...message, time: new Date(at).toISOString() } }));
  }
}

function streamOf(subject: string): string {
  const [first = '', second = ''] = subject.split('.');
  return first === '$KV' ? `KV_${second}` : `${first}_${STREAMS[second] ?? ''}`;
}
