/**
 * A client of a world, as the official ones behave behind a round-robin balancer: every request goes to any instance, 503
 * and refused connections are tried again, a stream that was cut is resumed by `Last-Event-ID` where there are event ids.
 * What it sends and sees goes into the ledger.
 */
import type { AuthInfo } from '@modelcontextprotocol/server';
import type { HttpRequest, Response } from './exchange.ts';
import type { Call, Ending, SessionStory } from './ledger.ts';
import type { Random } from './random.ts';
import type { SseEvent } from './sse.ts';
import type { World } from './world.ts';

interface Message {
  readonly id?: number | string;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: Record<string, unknown>;
  readonly error?: {
    readonly message?: string;
    readonly data?: { readonly reason?: string; readonly mayHaveRun?: unknown };
  };
}

export interface CallOptions {
  /** ms that the tool takes. */
  readonly ms?: number;
  /** Sends `notifications/cancelled` after so many ms. */
  readonly cancelAfter?: number;
  /** Leaves the connection after so many ms, and resumes. */
  readonly leaveAfter?: number;
  /** Tries no longer than this to be accepted. */
  readonly patience?: number;
  /** Sends it there at first. */
  readonly slot?: number;
}

export interface ClientOptions {
  readonly world: World;
  readonly name: string;
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
}

export class SimClient {
  readonly name: string;
  readonly version: string;
  readonly #world: World;
  readonly #random: Random;
  readonly #options: ClientOptions;
  readonly #authInfo: AuthInfo;
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
  /** Every one that came. */
  readonly questions: Message[] = [];
  /** Slots that the next requests go to, before chance decides. */
  readonly via: number[] = [];

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#world = options.world;
    this.#random = options.random;
    this.name = options.name;
    this.version = options.version;
    this.#authInfo = { token: 't', clientId: options.name, scopes: [], extra: { sub: options.name } };
  }

  get logged(): boolean {
    return this.version >= '2025-11-25';
  }

  get gone(): boolean {
    return this.story === undefined || this.story.notFoundAt !== undefined || this.story.deletedAt !== undefined;
  }

  /** What all of its session's payloads begin with. */
  get prefix(): string {
    return `${this.name}.${this.#sessions}:`;
  }

  nonce(): string {
    return `${this.prefix}${this.#nonces++}`;
  }

  #headers(session: string | undefined): Record<string, string> {
    return {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...(session !== undefined && { 'mcp-session-id': session, 'mcp-protocol-version': this.version }),
    };
  }

  #slot(): number {
    return this.via.shift() ?? this.#random.int(this.#world.slots.length);
  }

  #send(request: HttpRequest, onEvent?: (event: SseEvent, response: number) => void, slot = this.#slot()): Response {
    return this.#world.http(slot, { ...request, authInfo: this.#authInfo }, onEvent);
  }

  /** Its head, or what came instead; gives up on those who do not answer. */
  async #headOf(response: Response): Promise<'head' | 'refused' | 'cut'> {
    const { headPatience = Infinity } = this.#options;
    if (headPatience < Infinity) {
      const late = this.#world.scheduler.after(headPatience, () => {
        if (response.status === 0) response.close();
      });
      await response.headed;
      this.#world.scheduler.cancel(late);
    } else {
      await response.headed;
    }
    if (response.status !== 0) return 'head';
    return (await response.ended) === 'refused' ? 'refused' : 'cut';
  }

  /** Until it is accepted or refused for good; `undefined`: given up. */
  async #until(
    send: () => Response,
    { patience = Infinity, onCut = 'again' }: { patience?: number; onCut?: 'again' | 'stop' } = {},
  ): Promise<Response | 'cut' | undefined> {
    const { scheduler } = this.#world;
    const deadline = scheduler.now + patience;
    for (let wait = 20; ; wait = Math.min(wait * 2, 300)) {
      const response = send();
      const came = await this.#headOf(response);
      if (came === 'cut' && onCut === 'stop') return 'cut';
      if (came === 'head' && response.status !== 503) return response;
      if (scheduler.now > deadline) return undefined;
      await scheduler.sleep(wait * (0.5 + this.#random.next()));
    }
  }

  // ——— the session ———

  /** Tries until a session is open. */
  async open(patience?: number): Promise<boolean> {
    this.#sessions += 1;
    this.story = undefined;
    this.lastGetEvent = undefined;
    const params = {
      protocolVersion: this.version,
      capabilities: { elicitation: {} },
      clientInfo: { name: this.name, version: '1' },
    };
    const body = JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params });
    const sentAt = this.#world.now;
    for (;;) {
      let answered = false;
      const response = await this.#until(
        () =>
          this.#send({ method: 'POST', headers: this.#headers(undefined), body }, ({ data }) => {
            if (data !== '') answered ||= (JSON.parse(data) as Message).id === 0;
          }),
        patience === undefined ? {} : { patience },
      );
      if (response === undefined || response === 'cut') return false;
      await response.ended;
      const id = response.headers.get('mcp-session-id');
      if (response.status !== 200 || !answered || id === undefined) {
        if (response.status !== 200) this.#wrong(`initialize was answered ${response.status}: ${response.body}`);
        continue;
      }
      this.story = {
        id,
        client: this.name,
        version: this.version,
        openedAt: sentAt,
        activeAt: this.#world.now,
        readers: 0,
        prefix: this.prefix,
        deleteSentAt: undefined,
        deletedAt: undefined,
        notFoundAt: undefined,
      };
      this.#world.ledger.sessions.set(id, this.story);
      this.#world.note(`${this.name} has session ${id}`);
      await this.notify({ method: 'notifications/initialized' });
      return true;
    }
  }

  /** Sends what has no answer; the status it was taken or refused with. */
  async notify(message: Message): Promise<number | undefined> {
    const { story } = this;
    if (story === undefined) return undefined;
    const body = JSON.stringify({ jsonrpc: '2.0', ...message });
    const sentAt = this.#world.now;
    const response = await this.#until(() => this.#send({ method: 'POST', headers: this.#headers(story.id), body }), {
      patience: 6_000,
    });
    if (response === undefined || response === 'cut') return undefined;
    this.#saw(story, response, sentAt);
    return response.status;
  }

  async delete(): Promise<void> {
    const { story } = this;
    if (story === undefined) return;
    story.deleteSentAt = this.#world.now;
    this.#world.note(`${this.name} deletes ${story.id}`);
    const response = await this.#until(() => this.#send({ method: 'DELETE', headers: this.#headers(story.id) }));
    if (response === undefined || response === 'cut') return;
    if (response.status === 200) story.deletedAt = this.#world.now;
    else if (response.status === 404) story.notFoundAt ??= this.#world.now;
    else this.#wrong(`DELETE was answered ${response.status}: ${response.body}`);
  }

  /** After its end: nobody may serve it. */
  async probe(): Promise<void> {
    const { story } = this;
    if (story === undefined) return;
    const body = JSON.stringify({ jsonrpc: '2.0', id: this.#nextId++, method: 'ping' });
    const response = await this.#until(() => this.#send({ method: 'POST', headers: this.#headers(story.id), body }), {
      patience: 2_000,
    });
    if (response === undefined || response === 'cut') return;
    if (response.status !== 404 && !this.#forgiven(story))
      this.#wrong(`session ${story.id} was deleted and answered ${response.status} afterwards`);
  }

  /** Somebody else's session is nobody's. */
  async trespass(other: SimClient): Promise<void> {
    const theirs = other.story?.id;
    const mine = this.story?.id;
    if (theirs === undefined) return;
    const body = JSON.stringify({ jsonrpc: '2.0', id: this.#nextId++, method: 'ping' });
    const response = await this.#until(() => this.#send({ method: 'POST', headers: this.#headers(theirs), body }), {
      patience: 500,
    });
    if (response !== undefined && response !== 'cut' && ![400, 403, 404].includes(response.status))
      this.#wrong(`another user's session ${theirs} answered ${response.status}`);
    const event = other.lastGetEvent;
    if (mine === undefined || event === undefined || this.gone) return;
    const headers = { ...this.#headers(mine), 'last-event-id': event };
    const stream = await this.#until(() => this.#send({ method: 'GET', headers }), { patience: 500 });
    if (stream === undefined || stream === 'cut') return;
    if (![400, 404].includes(stream.status))
      this.#wrong(`an event id of ${theirs} was taken for ${mine}: ${stream.status}`);
    if (stream.status === 200) stream.close();
  }

  // ——— calls ———

  call(tool: string, options: CallOptions = {}): Promise<Call> {
    const calling = this.#call(tool, options);
    this.pending.add(calling);
    void calling.finally(() => this.pending.delete(calling));
    return calling;
  }

  async #call(tool: string, options: CallOptions): Promise<Call> {
    const { ledger, scheduler } = this.#world;
    const story = this.story as SessionStory;
    const nonce = this.nonce();
    const list = tool === 'tools/list';
    const call: Call = {
      client: this.name,
      session: story.id,
      method: list ? 'tools/list' : 'tools/call',
      tool: list ? undefined : tool,
      nonce,
      id: this.#nextId++,
      sentAt: this.#world.now,
      attemptAt: this.#world.now,
      accepted: false,
      cancelled: false,
      ending: undefined,
    };
    ledger.calls.push(call);
    const params = list
      ? {}
      : { name: tool, arguments: { nonce, ms: options.ms ?? 0 }, _meta: { progressToken: nonce } };
    const body = JSON.stringify({ jsonrpc: '2.0', id: call.id, method: call.method, params });
    let lastEvent: string | undefined;
    let current: Response | undefined;
    let answeredNow: () => void = () => undefined;
    const answered = new Promise<void>((resolve) => (answeredNow = resolve));
    const end = (ending: Ending): void => {
      if (call.ending !== undefined) return;
      call.ending = ending;
      this.#world.note(`${this.name} ${tool} ${nonce} ends: ${JSON.stringify(ending)}`);
      answeredNow();
    };
    const onMessage = (message: Message): void => {
      if (message.method === undefined && message.id === call.id) end(this.#endingOf(message));
    };
    const onEvent = (event: SseEvent, response: number): void => {
      if (event.id !== undefined) lastEvent = event.id;
      this.#event(story, event, response, onMessage);
    };
    if (options.leaveAfter !== undefined)
      scheduler.after(options.leaveAfter, () => {
        if (call.ending === undefined && current?.status === 200) current.close();
      });
    if (options.cancelAfter !== undefined)
      scheduler.after(options.cancelAfter, () => {
        if (call.ending !== undefined || !call.accepted) return;
        call.cancelled = true;
        end({ kind: 'cancelled', at: scheduler.now });
        current?.close();
        void this.notify({ method: 'notifications/cancelled', params: { requestId: call.id } });
      });
    this.#world.note(`${this.name} calls ${tool} ${nonce} as ${call.id}`);
    let slot = options.slot;
    const response = await this.#until(
      () => {
        call.attemptAt = this.#world.now;
        current = this.#send({ method: 'POST', headers: this.#headers(story.id), body }, onEvent, slot);
        slot = undefined;
        return current;
      },
      { onCut: 'stop', ...(options.patience !== undefined && { patience: options.patience }) },
    );
    const { now } = this.#world;
    if (response === undefined) end({ kind: 'given-up', at: now });
    else if (response === 'cut') end({ kind: 'cut', at: now });
    else if (response.status === 200)
      await this.#read(
        story,
        call,
        response,
        answered,
        end,
        onMessage,
        onEvent,
        () => lastEvent,
        (next) => (current = next),
      );
    else {
      this.#saw(story, response, call.attemptAt);
      await response.ended;
      if (response.status === 404) end({ kind: 'not-found', at: now });
      else end({ kind: 'refused', at: now, status: response.status, body: response.body });
    }
    return call;
  }

  async #read(
    story: SessionStory,
    call: Call,
    first: Response,
    answered: Promise<void>,
    end: (ending: Ending) => void,
    onMessage: (message: Message) => void,
    onEvent: (event: SseEvent, response: number) => void,
    lastEvent: () => string | undefined,
    reading: (response: Response) => void,
  ): Promise<void> {
    const { scheduler } = this.#world;
    call.accepted = true;
    let response = first;
    this.#saw(story, response, call.attemptAt);
    for (;;) {
      const outcome = await Promise.race([response.ended, answered]);
      if (call.ending !== undefined) return;
      if (!response.streams && response.body !== '') onMessage(JSON.parse(response.body) as Message);
      if (call.ending !== undefined) return;
      const from = lastEvent();
      if (from === undefined) return end({ kind: outcome === 'complete' ? 'silent' : 'cut', at: scheduler.now });
      await scheduler.sleep(100);
      if (call.ending !== undefined) return;
      const headers = { ...this.#headers(story.id), 'last-event-id': from };
      const sentAt = scheduler.now;
      const resumed = await this.#until(() => this.#send({ method: 'GET', headers }, onEvent));
      if (resumed === undefined || resumed === 'cut') continue;
      this.#saw(story, resumed, sentAt);
      if (resumed.status === 404) return end({ kind: 'not-found', at: scheduler.now });
      if (resumed.status !== 200) {
        await resumed.ended;
        return end({ kind: 'no-stream', at: scheduler.now, status: resumed.status, body: resumed.body });
      }
      response = resumed;
      reading(response);
    }
  }

  #endingOf(message: Message): Ending {
    const at = this.#world.now;
    if (message.error === undefined) return { kind: 'result', at, value: message.result?.['value'] };
    const { reason, mayHaveRun } = message.error.data ?? {};
    return { kind: 'error', at, message: message.error.message, reason, mayHaveRun };
  }

  #event(story: SessionStory, event: SseEvent, response: number, onMessage: (message: Message) => void): void {
    const { ledger, now } = this.#world;
    if (event.id !== undefined)
      ledger.received.push({ at: now, session: story.id, response, id: event.id, data: event.data });
    if (event.data === '') return;
    const message = JSON.parse(event.data) as Message;
    this.#checkPayload(story, event.data);
    if (message.method === 'elicitation/create' && message.id !== undefined) void this.#answer(story, message);
    onMessage(message);
  }

  /** Payloads name the session that they belong to. */
  #checkPayload(story: SessionStory, data: string): void {
    for (const [nonce] of data.matchAll(/c\d+\.\d+:/g))
      if (nonce !== story.prefix) this.#wrong(`session ${story.id} (${story.prefix}) was sent ${data}`);
  }

  // ——— answers ———

  async #answer(story: SessionStory, question: Message): Promise<void> {
    const key = `${String(question.id)} ${String(question.params?.['message'])}`;
    const { scheduler } = this.#world;
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
    const { scheduler } = this.#world;
    const story = this.story as SessionStory;
    const done = (): boolean => stop() || this.story !== story || this.gone;
    while (!done()) {
      const resumes = this.logged && this.lastGetEvent !== undefined;
      const headers = {
        ...this.#headers(story.id),
        ...(resumes && { 'last-event-id': this.lastGetEvent as string }),
      };
      const sentAt = this.#world.now;
      const response = await this.#until(
        () =>
          this.#send({ method: 'GET', headers }, (event, number) => {
            if (event.id !== undefined && this.story === story) this.lastGetEvent = event.id;
            this.#event(story, event, number, (message) => {
              const uri = message.params?.['uri'];
              if (typeof uri === 'string') this.pushed.add(uri);
            });
          }),
        { patience: 5_000 },
      );
      if (response === undefined || response === 'cut') continue;
      this.#saw(story, response, sentAt);
      if (response.status === 200) {
        this.getResponse = response;
        story.readers += 1;
        await response.ended;
        story.readers -= 1;
        story.activeAt = this.#world.now;
        if (this.getResponse === response) this.getResponse = undefined;
      } else if (resumes && response.status !== 404) {
        this.#world.note(`${this.name} cannot resume its GET stream: ${response.status} ${response.body}`);
        this.#world.ledger.gaps.push({ session: story.id, at: this.#world.now, from: this.lastGetEvent as string });
        this.lastGetEvent = undefined;
      } else if (response.status !== 404) {
        this.#wrong(`GET was answered ${response.status}: ${response.body}`);
      }
      await scheduler.sleep(100);
    }
  }

  // ——— what it notices ———

  #saw(story: SessionStory, response: Response, sentAt: number): void {
    if (response.status === 404) this.#notFound(story);
    else if (response.status < 300) {
      story.activeAt = Math.max(story.activeAt, sentAt);
      if (story.deletedAt !== undefined && sentAt > story.deletedAt && !this.#forgiven(story))
        this.#wrong(`session ${story.id} was deleted and answered ${response.status} afterwards`);
    }
  }

  #notFound(story: SessionStory): void {
    story.notFoundAt ??= this.#world.now;
    if (this.#forgiven(story)) return;
    const { data, ledger } = this.#world;
    const ended = data.happened.some(({ kind, id }) => kind === 'ended' && id === story.id);
    const expiresAt = data.expiryOf(story.id);
    if (ended || (expiresAt !== undefined && expiresAt <= this.#world.storeNow)) return;
    ledger.violation(`${this.#at} ${this.name}: 404 for session ${story.id}, which did not end`);
  }

  /** The store forgot something about it. */
  #forgiven(story: SessionStory): boolean {
    return this.#world.ledger.lost.some(({ sessions }) => sessions.has(story.id));
  }

  get #at(): string {
    return this.#world.now.toFixed(3);
  }

  #wrong(what: string): void {
    this.#world.ledger.violation(`${this.#at} ${this.name}: ${what}`);
  }
}
