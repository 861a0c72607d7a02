/**
 * A client of an official SDK, as its user has it: a call ends with what the user sees. Which bytes go over the wire is
 * for raw clients to check.
 */
import { type Call, type Ending, type History, now, type Story } from '../history.ts';
import { endingOf } from '../messages.ts';
import { pause, within } from '../pause.ts';
import type { Random } from '../../simulation/random.ts';
import { type Actor, ANSWER_MS, Nonces, Pending, type Work } from './actor.ts';

/** What the user of a client answers a question with. */
export type Answer = (message: string) => Promise<object>;

/** A client with a connection. */
export interface Connected {
  /** The session that it opened, where there is one and the SDK shows it. */
  readonly session?: { readonly id: string; readonly version: string };
  /** The result of a tool; rejects with what the SDK throws. */
  call(tool: string, args: { nonce: string; ms: number; steps: number }, timeoutMs: number): Promise<object>;
  terminate?(): Promise<void>;
  close(): Promise<void>;
}

export interface UserKind {
  readonly name: string;
  connect(url: string, user: string, answer: Answer): Promise<Connected>;
}

export interface UserOptions {
  readonly history: History;
  readonly random: Random;
  readonly kind: UserKind;
  readonly url: string;
  /** A call may fail: its connection may break before the client has anything to come back with. */
  readonly mayFail: boolean;
}

/** Some SDKs never notice that a stream is gone for good: then, where a call may fail, the user does not wait long. */
const TIMEOUT_MS = { mayFail: 10_000, mustSucceed: 60_000 };
/** For the calls of a session that was deleted to end. */
const LEAVE_MS = 3_000;

export class UserActor implements Actor {
  readonly name: string;
  readonly pending = new Pending();
  story: Story | undefined;
  readonly #options: UserOptions;
  readonly #nonces: Nonces;
  #client: Connected | undefined;
  #closed = false;

  constructor(options: UserOptions) {
    this.#options = options;
    this.name = options.kind.name;
    this.#nonces = new Nonces(this.name);
  }

  get stateless(): boolean {
    return this.story === undefined;
  }

  get ready(): boolean {
    return this.#client !== undefined;
  }

  async open(): Promise<boolean> {
    const { history, random, kind, url } = this.#options;
    this.#nonces.nextSession();
    const user = `user-${this.name}`;
    const answer: Answer = async (message) => {
      await pause(random.between(0, ANSWER_MS));
      return { action: 'accept', content: { answer: message } };
    };
    try {
      const client = await kind.connect(url, user, answer);
      const { prefix } = this.#nonces;
      this.story = client.session && history.open({ ...client.session, client: this.name, user, prefix, owner: '' });
      this.#client = client;
      return true;
    } catch (error) {
      if (!this.#closed) history.count(`connect failed: ${String(error).slice(0, 60)}`);
      await pause(50);
      return false;
    }
  }

  call(tool: string, { ms = 0, steps = 1 }: Work = {}): Promise<Call> {
    // Its progress is not looked at.
    const given = { client: this.name, tool, nonce: this.#nonces.next(), steps: 0, ms, story: this.story };
    return this.pending.track(this.#call(this.#options.history.call(given), steps));
  }

  async #call(call: Call, steps: number): Promise<Call> {
    const { history, mayFail } = this.#options;
    const client = this.#client;
    if (client === undefined) throw new Error(`${this.name} is not connected`);
    const { tool, nonce, ms, story } = call;
    const timeoutMs = mayFail ? TIMEOUT_MS.mayFail : TIMEOUT_MS.mustSucceed;
    const ending = await client.call(tool, { nonce, ms, steps }, timeoutMs).then(
      (result) => endingOf({ result: result as Record<string, unknown> }),
      (error: unknown) => endingOfError(error),
    );
    if (this.#closed) return call;
    if (ending.kind !== 'exception') history.end(call, ending);
    else {
      history.count(`${this.name}: ${ending.text.slice(0, 60)}`);
      if (story !== undefined && /\b404\b|session not found/i.test(ending.text)) history.notFound(story, tool);
      history.end(call, mayFail || story !== this.story ? { kind: 'left' } : ending);
    }
    return call;
  }

  /** Its SDK decides about its streams. */
  dropGet(): void {}

  async delete(): Promise<void> {
    const { story } = this;
    const client = this.#client;
    if (story === undefined || client === undefined) return;
    story.deleteSentAt = now();
    this.story = undefined;
    this.#client = undefined;
    try {
      await client.terminate?.();
      story.deletedAt = now();
    } catch (error) {
      this.#options.history.count(`DELETE failed: ${String(error).slice(0, 60)}`);
    }
    await within(LEAVE_MS, Promise.all(this.pending));
    await client.close();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#client?.close();
  }
}

/** An error of the server says what became of the call; anything else is the client's. */
function endingOfError(error: unknown): Ending {
  const { code, message = '', data } = error as { code?: number; message?: string; data?: Record<string, unknown> };
  const reason = data?.['reason'];
  if (code === undefined || typeof reason !== 'string') return { kind: 'exception', text: String(error) };
  return { kind: 'error', code, message, reason, mayHaveRun: data?.['mayHaveRun'] };
}
