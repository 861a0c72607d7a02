/**
 * A client of a world, simulated or of real processes. It behaves as the official ones do behind a round-robin
 * balancer: every request goes to any instance, 503 and refused connections are tried again, a stream that was cut is
 * resumed by `Last-Event-ID` where there are event ids. What it sends and sees goes into the ledger.
 */
import { parseEventId } from '../../src/session/streams/event-id.ts';
import { type CallOptions, ClientCall, isUnserved, type Message } from './client-call.ts';
import type { Response } from './exchange.ts';
import type { Call, SessionStory } from './ledger.ts';
import type { Random } from './random.ts';
import { type OnEvent, Requester } from './requester.ts';
import { type ClientWorld, isForgiven, notFound } from './client-world.ts';

export const TRESPASS = 'trespass';

/** What a client sends to a session that is not its own. Servers report each message with the word. */
const TRESPASSES = [
  // Who cancels a call of their own that waits for the store gets 202, so none below has this id.
  { id: 'own', method: 'tools/call', params: { name: 'effect', arguments: { nonce: TRESPASS } } },
  { id: 2, method: 'ping' },
  { id: 's1.0', result: { action: 'accept', content: { answer: TRESPASS } } },
  { method: 'notifications/cancelled', params: { requestId: 1, reason: TRESPASS } },
];
/** In place of every other cancellation, which no handler of the SDK's servers gets. */
const CHANGED = {
  method: 'notifications/roots/list_changed',
  params: { _meta: { by: TRESPASS } },
};

/** The clocks of two processes differ, and timers come early by less than 1 ms. */
const CLOCK_MS = 50;

/** What the payloads of a session begin with. */
const NONCE = /\b[a-z]+\d+\.\d+:/g;

export interface ClientOptions {
  readonly world: ClientWorld;
  readonly name: string;
  /** The same user may have other clients. Default: a user of this name. */
  readonly user?: string;
  readonly random: Random;
  readonly version: string;
  /** Before a question is answered, in ms. */
  readonly answerDelay?: readonly [number, number];
  /** Leaves questions to the test. */
  readonly answersByHand?: boolean;
  /** Of answers: they are sent once more, later. */
  readonly answersTwice?: number;
  /** Waits no longer than this for the head of a response. */
  readonly headPatience?: number;
  /** Behind a proxy that sends a call once more when its connection is cut. */
  readonly isProxied?: boolean;
}

export class SimClient {
  readonly name: string;
  readonly version: string;
  readonly world: ClientWorld;
  readonly requester: Requester;
  readonly #random: Random;
  readonly #options: ClientOptions;
  story: SessionStory | undefined;
  /** Of the GET stream. */
  lastGetEvent: string | undefined;
  getResponse: Response | undefined;
  readonly pushed = new Set<string>();
  readonly pending = new Set<Promise<unknown>>();
  #nextId = 1;
  #nonces = 0;
  #sessions = 0;
  readonly #answered = new Set<string>();
  /** The tools that must work in calm weather. */
  readonly proofs: readonly string[] = ['count', 'peek', 'ask', 'effect'];
  readonly questions: Message[] = [];

  constructor(options: ClientOptions) {
    this.#options = options;
    this.world = options.world;
    this.#random = options.random;
    this.name = options.name;
    this.version = options.version;
    const { world, random, name, user = name, version, headPatience = Infinity } = options;
    this.requester = new Requester({ world, random, user, version, headPatience });
  }

  get isProxied(): boolean {
    return this.#options.isProxied === true;
  }

  get gone(): boolean {
    return (
      this.story === undefined ||
      this.story.notFoundAt !== undefined ||
      this.story.deletedAt !== undefined
    );
  }

  /** What all of its session's payloads begin with. */
  get prefix(): string {
    return `${this.name}.${this.#sessions}:`;
  }

  /** Slots that the next requests go to, before chance decides. */
  get via(): number[] {
    return this.requester.via;
  }

  // ——— the session ———

  /** Tries until a session is open. */
  async open(): Promise<void> {
    this.#sessions += 1;
    this.story = undefined;
    this.lastGetEvent = undefined;
    const params = {
      protocolVersion: this.version,
      capabilities: { elicitation: {} },
      clientInfo: { name: this.name, version: '1' },
    };
    for (;;) {
      let answered = false;
      const response = await this.requester.until(() =>
        this.requester.post(undefined, { id: 0, method: 'initialize', params }, ({ data }) => {
          if (data !== '') answered ||= (JSON.parse(data) as Message).id === 0;
        }),
      );
      if (response === undefined) return;
      await response.ended;
      if (!response.streams && response.status === 200)
        answered = (JSON.parse(response.body) as Message).id === 0;
      const id = response.headers.get('mcp-session-id');
      if (response.status !== 200 || !answered || id === undefined) {
        if (response.status !== 200)
          this.#wrong(`initialize was answered ${response.status}: ${response.body}`);
        continue;
      }
      this.story = {
        id,
        client: this.name,
        version: this.version,
        activeAt: this.world.now,
        readers: 0,
        prefix: this.prefix,
        deleteSentAt: undefined,
        deletedAt: undefined,
        notFoundAt: undefined,
      };
      this.world.ledger.sessions.set(id, this.story);
      this.world.note(`${this.name} has session ${id}`);
      await this.notify({ method: 'notifications/initialized' }, Infinity);
      return;
    }
  }

  /** Sends what has no answer; the status it was taken or refused with. */
  async notify(message: Message, patience = 6_000): Promise<number | undefined> {
    const { story } = this;
    if (story === undefined) return undefined;
    const sentAt = this.world.now;
    const response = await this.requester.until(() => this.requester.post(story.id, message), {
      patience,
    });
    if (response === undefined) return undefined;
    this.saw(story, response, sentAt);
    return response.status;
  }

  async delete(): Promise<void> {
    const { story } = this;
    if (story === undefined) return;
    story.deleteSentAt = this.world.now;
    this.world.note(`${this.name} deletes ${story.id}`);
    const { requester } = this;
    const headers = requester.headers(story.id);
    const response = await requester.until(() => requester.send({ method: 'DELETE', headers }));
    if (response === undefined) return;
    if (response.status === 200) story.deletedAt = this.world.now;
    else if (response.status === 404) story.notFoundAt ??= this.world.now;
    else this.#wrong(`DELETE was answered ${response.status}: ${response.body}`);
  }

  /** After its end: no instance may serve it. */
  async probe(): Promise<void> {
    const { story } = this;
    if (story === undefined) return;
    let answer: Message | undefined;
    const onEvent: OnEvent = ({ data }) => {
      if (data !== '') answer = JSON.parse(data) as Message;
    };
    const ping = { id: this.#nextId++, method: 'ping' };
    const { requester } = this;
    const response = await requester.until(() => requester.post(story.id, ping, onEvent), {
      patience: 2_000,
    });
    if (response === undefined || response.refused) return;
    if (response.status === 200) {
      const ending = await response.ended;
      if (!response.streams && response.body !== '') answer = JSON.parse(response.body) as Message;
      if (answer === undefined ? ending === 'cut' : isUnserved(answer)) return;
    }
    if (response.status !== 404 && !this.#forgiven(story))
      this.#wrong(`session ${story.id} was deleted and answered ${response.status} afterwards`);
  }

  /** The id of another client's session gives no session, and neither does it without a user. */
  async trespass(other: SimClient): Promise<void> {
    const theirs = other.story?.id;
    const mine = this.story?.id;
    if (theirs === undefined) return;
    await this.#enter(theirs);
    const event = other.lastGetEvent;
    if (mine === undefined || event === undefined || this.gone) return;
    const { requester } = this;
    const headers = requester.headers(mine, event);
    const theirTag = parseEventId(event)?.tag;
    const onEvent: OnEvent = ({ id, data }) => {
      // While the store is away a GET gets its head, which repeats the event id, before that id is looked at.
      if (data === '' || 'error' in (JSON.parse(data) as Message)) return;
      if (id === undefined || parseEventId(id)?.tag === theirTag)
        this.#wrong(`an event id of ${theirs} was taken for ${mine}: ${id} ${data}`);
    };
    const stream = await requester.until(
      () => requester.send({ method: 'GET', headers }, onEvent),
      { patience: 500 },
    );
    if (stream === undefined) return;
    // Its own GET stream, which begins anew.
    if (![200, 404].includes(stream.status))
      this.#wrong(`an event id of ${theirs} at ${mine} was answered ${stream.status}`);
    if (stream.status === 200) {
      await Promise.race([stream.ended, this.world.scheduler.sleep(200)]);
      stream.close();
    }
  }

  /** Tries to use a session that is not its own, as itself or without a user: it hears errors alone. */
  async #enter(theirs: string): Promise<void> {
    const { requester, world } = this;
    const random = this.#random;
    const method = random.weighted({ POST: 6, GET: 2, DELETE: 1 });
    const picked = random.pick(TRESPASSES);
    const isEven = picked.method === 'notifications/cancelled' && world.ledger.trespasses % 2 === 0;
    const message = { jsonrpc: '2.0', ...(isEven ? CHANGED : picked) };
    const body = JSON.stringify(message);
    const request = {
      method,
      headers: requester.headers(theirs),
      ...(method === 'POST' && { body }),
    };
    const isAnonymous = random.chance(0.5);
    let sentAt = world.now;
    const heard: string[] = [];
    const onEvent: OnEvent = ({ id, data }) => {
      // A stream that is served begins with its position.
      if (data !== '' || id !== undefined) heard.push(data || `{"id":"${id}"}`);
    };
    const send = (): Response => {
      sentAt = world.now;
      return isAnonymous
        ? world.http(requester.slot(), request, onEvent)
        : requester.send(request, onEvent);
    };
    const response = await requester.until(send, { patience: 500 });
    if (response === undefined) return;
    const waitedMs = world.now - sentAt;
    await Promise.race([response.ended, world.scheduler.sleep(200)]);
    response.close();
    world.ledger.trespasses += 1;
    const { status, body: text } = response;
    if (text !== '') heard.push(text);
    const isRefused = heard.every((one) => 'error' in (JSON.parse(one) as Message));
    // Past that time what needs no answer is accepted for any id. Its session is looked at later, and drops it.
    const isUnseen =
      status === 202 &&
      method === 'POST' &&
      !('id' in message && 'method' in message) &&
      waitedMs >= world.maxWaitMs - CLOCK_MS;
    if (!(isUnseen || [200, 400, 403, 404].includes(status)) || !isRefused)
      this.#wrong(
        `another user's session ${theirs} answered ${method} with ${status} ${heard.join(' ')}`,
      );
  }

  // ——— calls ———

  call(tool: string, options: CallOptions = {}): Promise<Call> {
    const calling = this.#call(tool, options);
    this.pending.add(calling);
    void calling.finally(() => this.pending.delete(calling));
    return calling;
  }

  #call(tool: string, options: CallOptions): Promise<Call> {
    const story = this.story as SessionStory;
    const list = tool === 'tools/list';
    const call: Call = {
      client: this.name,
      session: story.id,
      method: list ? 'tools/list' : 'tools/call',
      tool: list ? undefined : tool,
      nonce: `${this.prefix}${this.#nonces++}`,
      id: this.#nextId++,
      sentAt: this.world.now,
      attemptAt: this.world.now,
      ms: options.ms ?? 0,
      arrivedAt: undefined,
      held: false,
      acceptedAt: undefined,
      ending: undefined,
    };
    this.world.ledger.calls.push(call);
    return new ClientCall(this, story, call, options).run();
  }

  event(story: SessionStory, reader: string, onMessage: (message: Message) => void): OnEvent {
    return ({ id, data }) => {
      const { ledger, now, storeNow } = this.world;
      ledger.received.push({ at: now, storeNow, session: story.id, reader, id, data });
      if (data === '') return;
      const message = JSON.parse(data) as Message;
      this.#checkPayload(story, data);
      if (message.method === 'elicitation/create' && message.id !== undefined)
        void this.#answer(story, message);
      onMessage(message);
    };
  }

  /** Payloads name the session that they belong to. */
  #checkPayload(story: SessionStory, data: string): void {
    for (const [nonce] of data.matchAll(NONCE))
      if (nonce !== story.prefix)
        this.#wrong(`session ${story.id} (${story.prefix}) was sent ${data}`);
  }

  // ——— answers ———

  async #answer(story: SessionStory, question: Message): Promise<void> {
    const key = `${String(question.id)} ${String(question.params?.['message'])}`;
    const { scheduler } = this.world;
    if (this.#answered.has(key)) return;
    this.#answered.add(key);
    this.questions.push(question);
    if (this.#options.answersByHand === true) return;
    const [low, high] = this.#options.answerDelay ?? [1, 20];
    const answering = (async () => {
      await scheduler.sleep(this.#random.between(low, high));
      if (this.story !== story || this.gone) return;
      await this.reply(question);
      if (!this.#random.chance(this.#options.answersTwice ?? 0)) return;
      await scheduler.sleep(this.#random.between(1, 1_500));
      if (this.story === story && !this.gone) await this.reply(question);
    })();
    this.pending.add(answering);
    await answering.finally(() => this.pending.delete(answering));
  }

  /** The status that it was answered with. */
  reply(question: Message): Promise<number | undefined> {
    const result = { action: 'accept', content: { answer: question.params?.['message'] } };
    return this.notify({ id: question.id as string, result });
  }

  // ——— the GET stream ———

  /** Listens until its session ends or `stop` says so. */
  async listen(stop: () => boolean): Promise<void> {
    const { scheduler } = this.world;
    const story = this.story as SessionStory;
    const done = (): boolean => stop() || this.story !== story || this.gone;
    while (!done()) {
      const from = this.lastGetEvent;
      const headers = this.requester.headers(story.id, from);
      const sentAt = this.world.now;
      const onEvent = this.event(story, 'GET', ({ params }) => {
        const uri = params?.['uri'];
        if (typeof uri === 'string') this.pushed.add(uri);
      });
      const response = await this.requester.until(
        () =>
          this.requester.send({ method: 'GET', headers }, (event) => {
            if (event.id !== undefined && this.story === story) this.lastGetEvent = event.id;
            onEvent(event);
          }),
        { patience: 5_000 },
      );
      if (response === undefined) continue;
      this.saw(story, response, sentAt);
      if (response.status === 200) {
        if (this.story === story) this.getResponse = response;
        story.readers += 1;
        await response.ended;
        story.readers -= 1;
        story.activeAt = this.world.now;
        if (this.getResponse === response) this.getResponse = undefined;
      } else if (response.status !== 404) {
        await response.ended;
        // Nothing is dropped by retention here: a gap is the store's.
        if (!this.#forgiven(story) && story.deleteSentAt === undefined)
          this.#wrong(`GET was answered ${response.status}: ${response.body}`);
        if (from !== undefined)
          this.world.ledger.gaps.push({ session: story.id, at: this.world.now, from });
        this.lastGetEvent = undefined;
      }
      await scheduler.sleep(100);
    }
  }

  // ——— what it notices ———

  saw(story: SessionStory, response: Response, sentAt: number): void {
    if (response.status === 404) this.notFound(story);
    else if (response.status < 300) this.served(story, response.status, sentAt);
  }

  served(story: SessionStory, status: number, sentAt: number): void {
    story.activeAt = Math.max(story.activeAt, sentAt);
    if (story.deletedAt !== undefined && sentAt > story.deletedAt && !this.#forgiven(story))
      this.#wrong(`session ${story.id} was deleted and answered ${status} afterwards`);
  }

  notFound(story: SessionStory): void {
    notFound(this.world, story);
  }

  #forgiven({ id }: SessionStory): boolean {
    return isForgiven(this.world.ledger, id);
  }

  #wrong(what: string): void {
    this.world.wrong(`${this.world.now.toFixed(3)} ${this.name}: ${what}`);
  }
}
