/**
 * A client that does what the specification lets it do, byte by byte: 2025-06-18 without event ids, 2025-11-25 with
 * resuming.
 */
import type { RawHeaders } from '../../kit/raw-client.ts';
import type { RawResponse } from '../../kit/raw-response.ts';
import { type Call, type History, now, type Story } from '../history.ts';
import { endingOf, isAnswer, isOver, isServed, type Message, note } from '../messages.ts';
import { pause, within } from '../pause.ts';
import { type Actor, type ActorOptions, ANSWER_MS, Nonces, Pending, type Work } from './actor.ts';
import { type Outcome, RawHttp } from './raw-http.ts';

const RESUMING_SINCE = '2025-11-25';
/** Before a stream that ended is asked for again. */
const RESUME_MS = 60;
const OPEN_TRIES = 10;
/** A GET is held while its instance has no lease: what has not ended by then is no refusal. */
const REFUSED_MS = 20_000;
/** How often a message is sent of which no side can know whether it arrived. */
const TRIES = 10;

/** What is read of one stream. */
interface Reading {
  /** Whose answer is waited for; undefined: the GET stream. */
  readonly call: Call | undefined;
  readonly id: number | undefined;
  lastId: string | undefined;
}

type Answer = Outcome & { readonly kind: 'answer' };

export class RawActor implements Actor {
  readonly name: string;
  readonly stateless = false;
  readonly pending = new Pending();
  readonly #options: ActorOptions;
  readonly #history: History;
  readonly #http: RawHttp;
  readonly #nonces: Nonces;
  readonly #resumes: boolean;
  readonly #answered = new Set<string>();
  #story: Story | undefined;
  #ids = 0;
  #get: RawResponse | undefined;

  constructor(options: ActorOptions) {
    this.#options = options;
    this.#history = options.history;
    this.name = options.name;
    this.#http = new RawHttp(options);
    this.#nonces = new Nonces(options.name);
    this.#resumes = options.version >= RESUMING_SINCE;
  }

  get story(): Story | undefined {
    return this.#story;
  }

  get ready(): boolean {
    return this.#story !== undefined;
  }

  // ——— the session ———

  async open(): Promise<boolean> {
    this.#nonces.nextSession();
    const { name, version } = this.#options;
    const user = `user-${name}`;
    const clientInfo = { name, version: '1' };
    const params = { protocolVersion: version, capabilities: { elicitation: {} }, clientInfo };
    const body = { jsonrpc: '2.0', id: 0, method: 'initialize', params };
    const asked = { method: 'POST', body, headers: { 'x-user': user }, what: 'initialize' } as const;
    for (let tries = 0; tries < OPEN_TRIES && !this.#http.closed; tries++) {
      const outcome = await this.#http.send(asked);
      if (outcome.kind !== 'answer') continue;
      const { response, instance: owner } = outcome;
      const id = response.header('mcp-session-id');
      if (!(await isInitialized(response)) || id === undefined) continue;
      const { prefix } = this.#nonces;
      const story = this.#history.open({ id, client: name, user, version, prefix, owner });
      this.#story = story;
      await this.#tell(story, { method: 'notifications/initialized' });
      void this.#listen(story);
      return true;
    }
    return false;
  }

  async delete(): Promise<void> {
    const story = this.#story;
    this.#story = undefined;
    if (story !== undefined) await this.#end(story);
    this.#get?.abort();
  }

  async close(): Promise<void> {
    this.#story = undefined;
    this.#http.close();
  }

  // ——— calls ———

  call(tool: string, { ms = 0, steps = 0, leaveAfter }: Work = {}): Promise<Call> {
    const story = this.#story;
    if (story === undefined) throw new Error(`${this.name} has no session`);
    const call = this.#history.call({ client: this.name, tool, nonce: this.#nonces.next(), steps, ms, story });
    return this.pending.track(this.#call(story, call, leaveAfter));
  }

  async #call(story: Story, call: Call, leaveAfter: number | undefined): Promise<Call> {
    const { nonce, tool, steps, ms } = call;
    const id = ++this.#ids;
    const params = { name: tool, arguments: { nonce, ms, steps }, _meta: { progressToken: nonce } };
    const body = { jsonrpc: '2.0', id, method: 'tools/call', params };
    const outcome = await this.#post(story, body, tool, () => (call.attemptAt = now()));
    if (this.#http.closed) this.#history.end(call, { kind: 'left' });
    else if (outcome.kind === 'gone') this.#history.end(call, { ...outcome, kind: 'refused' });
    else if (outcome.kind === 'cut') this.#history.end(call, outcome);
    else if (outcome.response.status !== 200) this.#history.end(call, { kind: 'refused', ...said(outcome.response) });
    else {
      const reading: Reading = { call, id, lastId: undefined };
      if (leaveAfter !== undefined) this.#leave(reading, outcome.response, leaveAfter);
      await this.#readToEnd(story, reading, call, outcome);
    }
    return call;
  }

  #leave(reading: Reading, response: RawResponse, afterMs: number): void {
    void pause(afterMs).then(() => {
      if (!isOver(reading.call) && reading.lastId !== undefined) response.abort();
    });
  }

  /** Comes back for the rest as long as there is something to come back by. */
  async #readToEnd(story: Story, reading: Reading, call: Call, first: Answer): Promise<void> {
    let { response, instance } = first;
    // An error about a call that never got a stream.
    if (!response.sse) this.#heard(story, reading, response.body);
    for (;;) {
      await this.#read(story, reading, response);
      if (response.ending === 'cut' && !this.#http.closed) this.#history.broke(call.tool, instance);
      if (isOver(call)) return;
      if (this.#http.closed) return this.#history.end(call, { kind: 'left' });
      if (reading.lastId === undefined)
        return this.#history.end(call, { kind: response.ending === 'complete' ? 'silent' : 'cut', instance });
      await pause(RESUME_MS);
      const resumed = await this.#stream(story, reading.lastId, 'resume');
      if (this.#http.closed) return this.#history.end(call, { kind: 'left' });
      if (resumed.kind !== 'answer') continue;
      ({ response, instance } = resumed);
      call.resumes += 1;
      if (response.status === 200) continue;
      if (response.status === 204) return this.#history.end(call, { kind: 'silent', instance });
      const ended = story.deleteSentAt !== undefined && response.status === 404;
      return this.#history.end(call, { kind: ended ? 'refused' : 'unresumable', ...said(response) });
    }
  }

  // ——— the GET stream ———

  dropGet(): void {
    this.#get?.abort();
  }

  async #listen(story: Story): Promise<void> {
    const reading: Reading = { call: undefined, id: undefined, lastId: undefined };
    const over = (): boolean => this.#http.closed || this.#story !== story || story.notFoundAt !== undefined;
    while (!over()) {
      const from = this.#resumes ? reading.lastId : undefined;
      const outcome = await this.#stream(story, from, 'GET');
      if (outcome.kind !== 'answer') continue;
      const { response, instance } = outcome;
      if (response.status === 200) {
        this.#get = response;
        if (over()) return response.abort();
        if (!this.#resumes) story.listensFrom = Math.min(story.listensFrom, now());
        await this.#read(story, reading, response);
        if (response.ending === 'cut' && !over()) this.#history.broke('GET', instance);
      } else if (!over() && response.status !== 404) {
        this.#history.violation('unresumable', `GET of ${story.id} from ${from}: ${response.status} ${response.body}`);
        reading.lastId = undefined;
      }
      await pause(RESUME_MS);
    }
  }

  // ——— requests ———

  #post(story: Story, body: object, what: string, attempt?: () => void): Promise<Outcome> {
    return this.#sent(story, this.#http.send({ method: 'POST', body, headers: headersOf(story), what }, attempt), what);
  }

  /** A GET stream, or more of any stream. */
  #stream(story: Story, lastEventId: string | undefined, what: string): Promise<Outcome> {
    const headers = { ...headersOf(story), ...(lastEventId !== undefined && { 'last-event-id': lastEventId }) };
    return this.#sent(story, this.#http.send({ method: 'GET', headers, what }), what);
  }

  /** What has no answer. */
  async #tell(story: Story, message: object): Promise<void> {
    for (let tries = 0; tries < TRIES && !this.#http.closed; tries++) {
      const outcome = await this.#post(story, { jsonrpc: '2.0', ...message }, 'notification or answer');
      if (outcome.kind === 'cut') continue;
      if (outcome.kind === 'answer' && ![202, 404].includes(outcome.response.status))
        this.#odd(story, 'a message without an answer', outcome.response);
      return;
    }
  }

  /** A broken connection leaves it open whether the session was deleted: asked again, it is. */
  async #end(story: Story): Promise<void> {
    story.deleteSentAt = now();
    for (let tries = 0; tries < TRIES; tries++) {
      const outcome = await this.#http.send({ method: 'DELETE', headers: headersOf(story), what: 'DELETE' });
      if (outcome.kind === 'cut') continue;
      if (outcome.kind === 'gone') return;
      const { status } = outcome.response;
      if (status === 200 || status === 404) story.deletedAt = now();
      else this.#odd(story, 'DELETE', outcome.response);
      return;
    }
  }

  async #sent(story: Story, sending: Promise<Outcome>, what: string): Promise<Outcome> {
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

  // ——— what comes ———

  /** To the end of the response. */
  async #read(story: Story, reading: Reading, response: RawResponse): Promise<void> {
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
      if (data !== '') this.#heard(story, reading, data);
    }
  }

  #heard(story: Story, { call, id }: Reading, data: string): void {
    const message = note(this.#history, story, story.prefix, data, call !== undefined);
    if (message.method === 'elicitation/create') void this.#answer(story, message);
    if (call !== undefined && isAnswer(message) && message.id === id) this.#history.end(call, endingOf(message));
  }

  async #answer(story: Story, { id, params }: Message): Promise<void> {
    const text = params?.['message'];
    const key = `${story.id} ${String(id)} ${String(text)}`;
    if (this.#answered.has(key)) return;
    this.#answered.add(key);
    await pause(this.#options.random.between(0, ANSWER_MS));
    await this.#tell(story, { id, result: { action: 'accept', content: { answer: text } } });
  }

  #odd({ client }: Story, what: string, { status, body }: RawResponse): void {
    this.#history.violation('status', `${client}: ${what} was answered ${status} ${body}`);
  }
}

function headersOf({ id, user, version }: Story): RawHeaders {
  return { 'x-user': user, 'mcp-session-id': id, 'mcp-protocol-version': version };
}

/** Whether `initialize` was answered with a result. */
async function isInitialized(response: RawResponse): Promise<boolean> {
  if (response.status !== 200) return false;
  try {
    const { result } = (await response.nextMessage()) as Message;
    return result !== undefined;
  } catch {
    return false;
  }
}

const said = ({ status, body: text }: RawResponse): { status: number; text: string } => ({ status, text });
