/**
 * One session on the wire, as a raw client has it: requests through whichever instance comes next, every event looked
 * at, every question answered.
 */
import type { RawHeaders } from '../../kit/raw-client.ts';
import type { RawResponse } from '../../kit/raw-response.ts';
import { type Call, type History, now, type Story } from '../history.ts';
import { endingOf, isAnswer, isServed, type Message, note } from '../messages.ts';
import { pause, within } from '../pause.ts';
import { ANSWER_MS, type ActorOptions } from './actor.ts';
import type { Outcome, RawHttp } from './raw-http.ts';

/** What is read of one stream. */
export interface Reading {
  /** Whose answer is waited for; undefined: the GET stream. */
  readonly call: Call | undefined;
  readonly id: number | undefined;
  lastId: string | undefined;
}

export interface ConversationOptions extends Pick<ActorOptions, 'history' | 'random'> {
  readonly http: RawHttp;
  readonly story: Story;
}

/** A GET is held while its instance has no lease: what has not ended by then is no refusal. */
const REFUSED_MS = 20_000;
/** How often a message is sent of which no side can know whether it arrived. */
const TRIES = 10;

export class RawConversation {
  readonly story: Story;
  readonly #options: ConversationOptions;
  readonly #history: History;
  readonly #http: RawHttp;
  readonly #answered = new Set<string>();

  constructor(options: ConversationOptions) {
    this.#options = options;
    this.story = options.story;
    this.#history = options.history;
    this.#http = options.http;
  }

  // ——— requests ———

  post(body: object, what: string, attempt?: () => void): Promise<Outcome> {
    return this.#sent(this.#http.send({ method: 'POST', body, headers: this.#headers, what }, attempt), what);
  }

  /** A GET stream, or more of any stream. */
  get(lastEventId: string | undefined, what: string): Promise<Outcome> {
    const headers = { ...this.#headers, ...(lastEventId !== undefined && { 'last-event-id': lastEventId }) };
    return this.#sent(this.#http.send({ method: 'GET', headers, what }), what);
  }

  /** What has no answer. */
  async tell(message: object): Promise<void> {
    for (let tries = 0; tries < TRIES && !this.#http.closed; tries++) {
      const outcome = await this.post({ jsonrpc: '2.0', ...message }, 'notification or answer');
      if (outcome.kind === 'cut') continue;
      if (outcome.kind === 'answer' && ![202, 404].includes(outcome.response.status))
        this.#odd('a message without an answer', outcome.response);
      return;
    }
  }

  /** A broken connection leaves it open whether the session was deleted: asked again, it is. */
  async delete(): Promise<void> {
    this.story.deleteSentAt = now();
    for (let tries = 0; tries < TRIES; tries++) {
      const outcome = await this.#http.send({ method: 'DELETE', headers: this.#headers, what: 'DELETE' });
      if (outcome.kind === 'cut') continue;
      if (outcome.kind === 'gone') return;
      const { status } = outcome.response;
      if (status === 200 || status === 404) this.story.deletedAt = now();
      else this.#odd('DELETE', outcome.response);
      return;
    }
  }

  async #sent(sending: Promise<Outcome>, what: string): Promise<Outcome> {
    const { story } = this;
    const from = now();
    const outcome = await sending;
    if (outcome.kind !== 'answer') return outcome;
    const { response } = outcome;
    const { status } = response;
    if (status === 404) this.#history.notFound(story, what);
    else if (status < 300 && story.deletedAt !== undefined && from > story.deletedAt) {
      const over = (await within(REFUSED_MS, response.ended)) === 'complete';
      if (!over || isServed(response))
        this.#history.violation(
          'served',
          `session ${story.id} was deleted, and ${what} was answered ${status} ${response.body}`,
        );
    }
    return outcome;
  }

  get #headers(): RawHeaders {
    const { id, user, version } = this.story;
    return { 'x-user': user, 'mcp-session-id': id, 'mcp-protocol-version': version };
  }

  // ——— what comes ———

  /** To the end of the response. */
  async read(reading: Reading, response: RawResponse): Promise<void> {
    const { story } = this;
    for (;;) {
      let event;
      try {
        event = await response.next();
      } catch (error) {
        if (response.ending !== undefined) return;
        throw error;
      }
      const { id, data = '' } = event;
      if (id !== undefined) {
        reading.lastId = id;
        story.streams.take(id, data);
        if (reading.call === undefined) story.listensFrom = Math.min(story.listensFrom, now());
      }
      if (data !== '') this.heard(reading, data);
    }
  }

  heard({ call, id }: Reading, data: string): void {
    const message = note(this.#history, this.story, this.story.prefix, data, call !== undefined);
    if (message.method === 'elicitation/create') void this.#answer(message);
    if (call !== undefined && isAnswer(message) && message.id === id) this.#history.end(call, endingOf(message));
  }

  async #answer({ id, params }: Message): Promise<void> {
    const text = params?.['message'];
    const key = `${String(id)} ${String(text)}`;
    if (this.#answered.has(key)) return;
    this.#answered.add(key);
    await pause(this.#options.random.between(0, ANSWER_MS));
    await this.tell({ id, result: { action: 'accept', content: { answer: text } } });
  }

  #odd(what: string, { status, body }: RawResponse): void {
    this.#history.violation('status', `${this.story.client}: ${what} was answered ${status} ${body}`);
  }
}
