/**
 * A client that does what the specification lets it do, byte by byte: 2025-06-18 without event ids, 2025-11-25 with
 * resuming.
 */
import type { RawResponse } from '../../kit/raw-response.ts';
import { type Call, type History, now, type Story } from '../history.ts';
import { isOver, type Message } from '../messages.ts';
import { pause } from '../pause.ts';
import { type Actor, type ActorOptions, Nonces, Pending, type Work } from './actor.ts';
import { RawConversation, type Reading } from './raw-conversation.ts';
import { type Outcome, RawHttp } from './raw-http.ts';

const RESUMING_SINCE = '2025-11-25';
/** Before a stream that ended is asked for again. */
const RESUME_MS = 60;
const OPEN_TRIES = 10;

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
  #conversation: RawConversation | undefined;
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
    return this.#conversation?.story;
  }

  get ready(): boolean {
    return this.#conversation !== undefined;
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
      const conversation = new RawConversation({ ...this.#options, http: this.#http, story });
      this.#conversation = conversation;
      await conversation.tell({ method: 'notifications/initialized' });
      void this.#listen(conversation);
      return true;
    }
    return false;
  }

  async delete(): Promise<void> {
    const conversation = this.#conversation;
    this.#conversation = undefined;
    await conversation?.delete();
    this.#get?.abort();
  }

  async close(): Promise<void> {
    this.#conversation = undefined;
    this.#http.close();
  }

  // ——— calls ———

  call(tool: string, { ms = 0, steps = 0, leaveAfter }: Work = {}): Promise<Call> {
    const conversation = this.#conversation;
    if (conversation === undefined) throw new Error(`${this.name} has no session`);
    const { story } = conversation;
    const call = this.#history.call({ client: this.name, tool, nonce: this.#nonces.next(), steps, ms, story });
    return this.pending.track(this.#call(conversation, call, leaveAfter));
  }

  async #call(conversation: RawConversation, call: Call, leaveAfter: number | undefined): Promise<Call> {
    const { nonce, tool, steps, ms } = call;
    const id = ++this.#ids;
    const params = { name: tool, arguments: { nonce, ms, steps }, _meta: { progressToken: nonce } };
    const body = { jsonrpc: '2.0', id, method: 'tools/call', params };
    const outcome = await conversation.post(body, tool, () => (call.attemptAt = now()));
    if (this.#http.closed) this.#history.end(call, { kind: 'left' });
    else if (outcome.kind === 'gone') this.#history.end(call, { ...outcome, kind: 'refused' });
    else if (outcome.kind === 'cut') this.#history.end(call, outcome);
    else if (outcome.response.status !== 200) this.#history.end(call, { kind: 'refused', ...said(outcome.response) });
    else {
      const reading: Reading = { call, id, lastId: undefined };
      if (leaveAfter !== undefined) this.#leave(reading, outcome.response, leaveAfter);
      await this.#readToEnd(conversation, reading, call, outcome);
    }
    return call;
  }

  #leave(reading: Reading, response: RawResponse, afterMs: number): void {
    void pause(afterMs).then(() => {
      if (!isOver(reading.call) && reading.lastId !== undefined) response.abort();
    });
  }

  /** Comes back for the rest as long as there is something to come back by. */
  async #readToEnd(conversation: RawConversation, reading: Reading, call: Call, first: Answer): Promise<void> {
    const { story } = conversation;
    let { response, instance } = first;
    // An error about a call that never got a stream.
    if (!response.sse) conversation.heard(reading, response.body);
    for (;;) {
      await conversation.read(reading, response);
      if (response.ending === 'cut' && !this.#http.closed) this.#history.broke(call.tool, instance);
      if (isOver(call)) return;
      if (this.#http.closed) return this.#history.end(call, { kind: 'left' });
      if (reading.lastId === undefined)
        return this.#history.end(call, { kind: response.ending === 'complete' ? 'silent' : 'cut', instance });
      await pause(RESUME_MS);
      const resumed = await conversation.get(reading.lastId, 'resume');
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

  async #listen(conversation: RawConversation): Promise<void> {
    const { story } = conversation;
    const reading: Reading = { call: undefined, id: undefined, lastId: undefined };
    const over = (): boolean =>
      this.#http.closed || this.#conversation !== conversation || story.notFoundAt !== undefined;
    while (!over()) {
      const from = this.#resumes ? reading.lastId : undefined;
      const outcome = await conversation.get(from, 'GET');
      if (outcome.kind !== 'answer') continue;
      const { response, instance } = outcome;
      if (response.status === 200) {
        this.#get = response;
        if (over()) return response.abort();
        if (!this.#resumes) story.listensFrom = Math.min(story.listensFrom, now());
        await conversation.read(reading, response);
        if (response.ending === 'cut' && !over()) this.#history.broke('GET', instance);
      } else if (!over() && response.status !== 404) {
        this.#history.violation('unresumable', `GET of ${story.id} from ${from}: ${response.status} ${response.body}`);
        reading.lastId = undefined;
      }
      await pause(RESUME_MS);
    }
  }
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
