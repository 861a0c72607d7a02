/**
 * One call of a client, until it has ended, whichever way:
 *
 *     tried ──200──▶ accepted ──answer──▶ result or error
 *       │                ╰──stream cut──▶ resumed by Last-Event-ID, or cut for good
 *       ╰──404, 400 …──▶ refused
 */
import type { Response } from './exchange.ts';
import type { Call, Ending, SessionStory } from './ledger.ts';
import type { SimClient } from './client.ts';
import type { OnEvent } from './requester.ts';

export interface Message {
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
  /** Further arguments. */
  readonly args?: Readonly<Record<string, unknown>>;
}

/**
 * Whether the answer is an error in place of what the session says: its instance or its owner stopped first. Such an
 * instance may not know that the session has ended, so it cannot answer 404.
 */
export function isUnserved({ error }: Message): boolean {
  const { reason, mayHaveRun } = error?.data ?? {};
  if (reason === 'session_not_found') return true;
  return ['owner_lost', 'draining', 'session_ended'].includes(reason ?? '') && mayHaveRun === true;
}

/** What an answer makes of its call. */
export function endingOf({ result, error }: Pick<Message, 'result' | 'error'>, at: number): Ending {
  const { reason, mayHaveRun } = error?.data ?? {};
  if (reason === 'session_not_found') return { kind: 'not-found', at, mayHaveRun };
  if (error !== undefined) return { kind: 'error', at, message: error.message, reason, mayHaveRun };
  if (result?.['isError'] === true)
    return {
      kind: 'error',
      at,
      message: JSON.stringify(result),
      reason: 'tool_failed',
      mayHaveRun,
    };
  return {
    kind: 'result',
    at,
    ...(result?.['structuredContent'] as { value: unknown; run?: string } | undefined),
  };
}

/** Before a stream that was cut is asked for again. */
const RETRY_MS = 100;

export class ClientCall {
  readonly #caller: SimClient;
  readonly #story: SessionStory;
  readonly #call: Call;
  readonly #options: CallOptions;
  readonly #answered: Promise<void>;
  #answeredNow: () => void = () => undefined;
  #lastEvent: string | undefined;
  #current: Response | undefined;
  /** Of all streams of this call. */
  #messages = 0;
  /** The last answer says that its session, or its owner, is lost: that is no service. */
  #isLost = false;

  constructor(caller: SimClient, story: SessionStory, call: Call, options: CallOptions) {
    this.#caller = caller;
    this.#story = story;
    this.#call = call;
    this.#options = options;
    this.#answered = new Promise((resolve) => (this.#answeredNow = resolve));
  }

  async run(): Promise<Call> {
    const { requester } = this.#caller;
    const { patience } = this.#options;
    this.#note(`calls as ${this.#call.id}`);
    this.#planLeaving();
    let { slot } = this.#options;
    const response = await requester.until(
      () => {
        this.#call.attemptAt = this.#now;
        const attempt = this.#caller.isProxied ? `attempt-${this.#call.nonce}` : undefined;
        this.#current = requester.post(
          this.#story.id,
          this.#message(),
          this.#onEvent,
          slot,
          attempt,
        );
        slot = undefined;
        return this.#current;
      },
      {
        onCut: this.#caller.isProxied ? 'once' : 'stop',
        ...(patience !== undefined && { patience }),
      },
    );
    this.#call.arrivedAt = this.#current?.arrivedAt;
    this.#call.held = this.#current?.held === true;
    if (response === undefined) this.#end({ kind: 'given-up', at: this.#now });
    else if (response === 'late') this.#end({ kind: 'timed-out', at: this.#now });
    else if (response === 'cut') this.#end({ kind: 'cut', at: this.#now });
    else await this.#answer(response);
    return this.#call;
  }

  get #now(): number {
    return this.#caller.world.now;
  }

  #note(what: string): void {
    const { client, tool, method, nonce } = this.#call;
    this.#caller.world.note(`${client} ${tool ?? method} ${nonce} ${what}`);
  }

  #message(): object {
    const { id, method, tool, nonce } = this.#call;
    if (tool === undefined) return { id, method, params: {} };
    const given = { nonce, ms: this.#options.ms ?? 0, ...this.#options.args };
    return {
      id,
      method,
      params: { name: tool, arguments: given, _meta: { progressToken: nonce } },
    };
  }

  #planLeaving(): void {
    const { world } = this.#caller;
    const { leaveAfter, cancelAfter } = this.#options;
    if (leaveAfter !== undefined)
      world.scheduler.after(leaveAfter, () => {
        if (this.#call.ending !== undefined || this.#current?.status !== 200) return;
        // Without an event id it cannot come back.
        if (this.#lastEvent === undefined) this.#end({ kind: 'left', at: this.#now });
        this.#current.close();
      });
    if (cancelAfter !== undefined)
      world.scheduler.after(cancelAfter, () => {
        if (this.#call.ending !== undefined || this.#call.acceptedAt === undefined) return;
        this.#end({ kind: 'cancelled', at: this.#now });
        this.#current?.close();
        void this.#caller.notify({
          method: 'notifications/cancelled',
          params: { requestId: this.#call.id },
        });
      });
  }

  readonly #onMessage = (message: Message): void => {
    if (message.method !== undefined || message.id !== this.#call.id) return;
    const at = this.#now;
    const ending = endingOf(message, at);
    this.#isLost = isUnserved(message);
    if (ending.kind === 'not-found') this.#caller.notFound(this.#story);
    this.#end(ending);
  };

  readonly #onEvent: OnEvent = (event) => {
    if (event.id !== undefined) this.#lastEvent = event.id;
    if (event.data !== '') this.#messages += 1;
    this.#caller.event(this.#story, this.#call.nonce, this.#onMessage)(event);
  };

  #end(ending: Ending): void {
    if (this.#call.ending !== undefined) return;
    this.#call.ending = ending;
    this.#note(`ends: ${JSON.stringify(ending)}`);
    this.#answeredNow();
  }

  async #answer(response: Response): Promise<void> {
    const { refused, status } = response;
    if (status === 200 && !refused) {
      this.#call.acceptedAt = this.#now;
      const { attemptAt } = this.#call;
      await this.#read(response);
      if (!this.#isLost) this.#caller.served(this.#story, status, attemptAt);
      return;
    }
    if (!refused) this.#caller.saw(this.#story, response, this.#call.attemptAt);
    await response.ended;
    const { body, slot } = response;
    if (status === 404 && !refused)
      this.#end({ kind: 'not-found', at: this.#now, mayHaveRun: mayHaveRunOf(response) });
    else this.#end({ kind: 'refused', at: this.#now, status, body, slot });
  }

  async #read(first: Response): Promise<void> {
    const { world, requester } = this.#caller;
    let resumedAt: number | undefined;
    let before = 0;
    for (let response: Response | undefined = first; ;) {
      const outcome = await Promise.race([response.ended, this.#answered]);
      if (outcome === 'complete' && !response.streams && response.body !== '')
        this.#onMessage(JSON.parse(response.body) as Message);
      // A resume that waits for the store has its head early. Without a message it was not served: it was cut off, or
      // ended for its client to come back, as by a drain.
      const waited = this.#messages === before;
      // A resume of an unknown session is answered with an error, not with its status.
      if (resumedAt !== undefined && !this.#isLost && !waited)
        this.#caller.saw(this.#story, response, resumedAt);
      if (this.#call.ending !== undefined) return;
      const from = this.#lastEvent;
      if (from === undefined)
        return this.#end({ kind: outcome === 'complete' ? 'silent' : 'cut', at: this.#now });
      await world.scheduler.sleep(RETRY_MS);
      const sentAt = this.#now;
      before = this.#messages;
      const resumed = await requester.until(() =>
        requester.send(
          { method: 'GET', headers: requester.headers(this.#story.id, from) },
          this.#onEvent,
        ),
      );
      if (resumed === undefined) continue;
      if (resumed.status !== 200) {
        this.#caller.saw(this.#story, resumed, sentAt);
        await resumed.ended;
        if (resumed.status === 404)
          return this.#end({ kind: 'not-found', at: this.#now, mayHaveRun: mayHaveRunOf(resumed) });
        return this.#end({
          kind: 'no-stream',
          at: this.#now,
          status: resumed.status,
          body: resumed.body,
        });
      }
      response = resumed;
      resumedAt = sentAt;
      this.#current = resumed;
    }
  }
}

function mayHaveRunOf({ body }: Response): unknown {
  return (JSON.parse(body) as Message).error?.data?.mayHaveRun;
}
