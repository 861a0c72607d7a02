/**
 * A child: JSON-RPC with a program on stdio. It gives requests ids of its own and restores the
 * progress tokens of their callers, because several callers may share a child.
 *
 * A child that ends rejects its requests with `ChildEnded`, and aborts its questions.
 */
import { isObject } from '../base/protocol/jsonrpc.ts';
import { bytesOfText, TOO_DEEP } from '../base/protocol/json-size.ts';
import { roleOf } from '../base/protocol/methods.ts';
import { AnswerError, type RpcErrorObject } from '../base/errors/answer-error.ts';
import { answeredIn } from './broken-line.ts';
import type { Command } from './command.ts';
import { ProcessGroup } from './process-group.ts';

export type RpcParams = Readonly<Record<string, unknown>> | undefined;
export type Result = Record<string, unknown>;

/** A request of the child to its client. */
export interface Question {
  readonly method: string;
  readonly params: RpcParams;
  /** Aborts when it has an answer, the child cancels it, or the child ends. */
  readonly signal: AbortSignal;
  answer(result: unknown): void;
  refuse(code: number, message: string): void;
}

/** Gets what the child asks, and what it says while several requests run. */
export interface ChildListener {
  question(question: Question): void;
  readonly notified?: Notified;
}

export type Notified = (method: string, params: RpcParams) => void;

/** For the log. */
export interface Stopped {
  readonly child: number | undefined;
  readonly program: string;
  /** Its requests without an answer. */
  readonly doing: readonly string[];
  /** So long ago its end began. */
  readonly waitedMs: number;
}

export interface ChildEvents {
  question(question: Question): void;
  /** Names no request. */
  notified: Notified;
  /** What it writes to stderr, and what it writes to stdout that is no JSON. */
  said(line: string): void;
  /** A request of it has its answer. */
  answered(): void;
  /** It did not end when it was stopped, and is killed. */
  outlived(stopped: Stopped): void;
  ended(error: ChildEnded): void;
}

export interface Asked {
  readonly signal?: AbortSignal | undefined;
  /** Gets what the child says about the request. */
  readonly notified?: Notified | undefined;
}

/** `message` names the program and says how it ended. It quotes nothing that the program wrote. */
export class ChildEnded extends Error {
  override readonly name = 'ChildEnded';
  /** The end of its stderr, for operators. */
  readonly stderr: string;

  constructor(message: string, stderr: string) {
    super(message);
    this.stderr = stderr;
  }
}

interface PendingRequest {
  resolve(result: Result): void;
  reject(cause: unknown): void;
  readonly token: string | number | undefined;
  readonly notified: Notified | undefined;
  /** The method, and the name of a tool. */
  readonly what: string;
}

const REFUSED = { busy: -32_000, cancelled: -32_800, broken: -32_603 };
export const cancelled = (): AnswerError =>
  new AnswerError({ code: REFUSED.cancelled, message: 'The call was cancelled' });
const BYTE_ORDER_MARK = '\uFEFF';
/** Levels of a message: what writes it again, recursive as it is, has a stack for them. */
const MOST_LEVELS = 1_000;
/** Questions of a child that wait for answers. */
const MOST_QUESTIONS = 256;

export class Child {
  readonly #events: ChildEvents;
  readonly #group: ProcessGroup;
  /** The name of its program. */
  readonly name: string;
  readonly #pending = new Map<number, PendingRequest>();
  readonly #questions = new Map<unknown, AbortController>();
  #lastId = 0;
  #cancelledLast: string | undefined = undefined;
  #ended: ChildEnded | undefined = undefined;
  /** Resolves when none of its processes lives. */
  readonly ended: Promise<void>;

  constructor(command: Command, events: ChildEvents) {
    this.#events = events;
    this.name = command.command.split(/[/\\]/).at(-1) ?? command.command;
    this.#group = new ProcessGroup(command, {
      line: (text) => this.#read(text),
      said: (line) => events.said(line),
      outlived: (waitedMs) =>
        events.outlived({ child: this.pid, program: this.name, doing: this.#doing, waitedMs }),
      ended: (why) => this.#end(why),
    });
    this.ended = this.#group.ended;
  }

  get pid(): number | undefined {
    return this.#group.pid;
  }

  /** It takes requests. */
  get isOpen(): boolean {
    return this.#ended === undefined && !this.#group.isStopping;
  }

  get stderr(): string {
    return this.#group.stderr;
  }

  /** Where one request alone hears anything, what names no request is about that one. */
  get onlyNotified(): Notified | undefined {
    const heard = [...this.#pending.values()].flatMap(({ notified }) => notified ?? []);
    return heard.length === 1 ? heard[0] : undefined;
  }

  /** A program may run a request on that was cancelled. It does not say when that ends: the last one is named. */
  get #doing(): readonly string[] {
    const open = [...this.#pending.values()].map(({ what }) => what);
    return open.length > 0 || this.#cancelledLast === undefined
      ? open
      : [`${this.#cancelledLast}, cancelled`];
  }

  stop(): Promise<void> {
    return this.#group.stop();
  }

  /** `why`: the error of its calls. */
  kill(why: string): void {
    this.#group.kill(why);
  }

  // ——— to the child ———

  #write(message: object): void {
    this.#group.write(JSON.stringify(message));
  }

  notify(method: string, params?: RpcParams): void {
    this.#write({ jsonrpc: '2.0', method, ...(params && { params }) });
  }

  /** Rejects with an `AnswerError` of the child, with `ChildEnded`, or because `signal` aborts. */
  request(method: string, params?: RpcParams, { signal, notified }: Asked = {}): Promise<Result> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const id = (this.#lastId += 1);
    const meta = params?.['_meta'];
    const token = isObject(meta)
      ? (meta['progressToken'] as string | number | undefined)
      : undefined;
    const sent =
      token === undefined
        ? params
        : { ...params, _meta: { ...(meta as object), progressToken: id } };
    const what = typeof params?.['name'] === 'string' ? `${method} ${params['name']}` : method;
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(cancelled());
      const cancel = (): void => {
        if (!this.#pending.delete(id)) return;
        this.#cancelledLast = what;
        this.notify('notifications/cancelled', { requestId: id, reason: 'The client cancelled' });
        reject(cancelled());
      };
      signal?.addEventListener('abort', cancel, { once: true });
      const heard = (): void => signal?.removeEventListener('abort', cancel);
      this.#pending.set(id, {
        resolve: (result) => (heard(), resolve(result)),
        reject: (cause) => (heard(), reject(cause)),
        token,
        notified,
        what,
      });
      this.#write({ jsonrpc: '2.0', id, method, ...(sent && { params: sent }) });
    });
  }

  // ——— from the child ———

  #read(written: string): void {
    const line = written.startsWith(BYTE_ORDER_MARK) ? written.slice(1) : written;
    const mayBeDeep = line.length > 2 * MOST_LEVELS;
    if (mayBeDeep && bytesOfText(line, Infinity, MOST_LEVELS) === TOO_DEEP)
      return this.kill(`it wrote JSON of more than ${MOST_LEVELS} levels`);
    let message: unknown;
    try {
      message = JSON.parse(line);
    } catch {
      for (const id of answeredIn(line)) this.#broken(id, 'is no JSON');
      return this.#events.said(line);
    }
    // 2025-03-26 has batches.
    const messages = Array.isArray(message) ? (message as unknown[]) : [message];
    for (const one of messages) if (isObject(one)) this.#take(one);
  }

  #take(message: Record<string, unknown>): void {
    const { id, method, params } = message;
    const given = isObject(params) ? params : undefined;
    if (typeof method !== 'string') this.#settle(message);
    else if (typeof id === 'string' || typeof id === 'number') this.#ask(id, method, given);
    else if (roleOf(method) === 'cancel') this.#cancelled(given?.['requestId']);
    else this.#heard(method, given);
  }

  /** The child does not want the answer any more, or has ended. */
  #cancelled(id: unknown): void {
    const controller = this.#questions.get(id);
    if (controller === undefined) return;
    this.#questions.delete(id);
    controller.abort();
  }

  #settle({ jsonrpc, id: given, result, error }: Record<string, unknown>): void {
    const id = idOf(given);
    if (isObject(error)) {
      const { code, message, data } = error as unknown as RpcErrorObject;
      this.#taken(id)?.reject(
        new AnswerError({ code: Number(code), message: String(message), data }),
      );
    } else if (isObject(result)) this.#taken(id)?.resolve(result);
    // Programs may write their log as JSON.
    else if (jsonrpc !== undefined) this.#broken(id, 'has no result');
  }

  /** The request that an answer ends. */
  #taken(id: number): PendingRequest | undefined {
    const pending = this.#pending.get(id);
    if (this.#pending.delete(id)) this.#events.answered();
    return pending;
  }

  #broken(id: number, how: string): void {
    const message = `${this.name}: its answer ${how}`;
    this.#taken(id)?.reject(new AnswerError({ code: REFUSED.broken, message }));
  }

  #heard(method: string, params: RpcParams): void {
    if (roleOf(method) === 'acknowledged') return;
    if (roleOf(method) !== 'progress') return this.#events.notified(method, params);
    const { token, notified } = this.#pending.get(idOf(params?.['progressToken'])) ?? {};
    if (token !== undefined) notified?.(method, { ...params, progressToken: token });
  }

  #ask(id: string | number, method: string, params: RpcParams): void {
    const send = (answer: object): void => this.#write({ jsonrpc: '2.0', id, ...answer });
    const refused = (code: number, message: string) => ({ error: { code, message } });
    if (roleOf(method) === 'ping') return send({ result: {} });
    if (this.#questions.size >= MOST_QUESTIONS)
      return send(refused(REFUSED.busy, 'Too many requests wait for the client'));
    // A question under the same id would count as one with this.
    this.#cancelled(id);
    const controller = new AbortController();
    this.#questions.set(id, controller);
    const settle = (answer: object): void => {
      // The child may have cancelled it, and used its id again.
      if (this.#questions.get(id) !== controller) return;
      this.#questions.delete(id);
      send(answer);
      controller.abort();
    };
    this.#events.question({
      method,
      params,
      signal: controller.signal,
      answer: (result) => settle({ result }),
      refuse: (code, message) => settle(refused(code, message)),
    });
  }

  #end(why: string): void {
    const isStopped = this.#group.isStopping;
    const ended = new ChildEnded(`${this.name} ended: ${why}`, this.stderr);
    this.#ended = ended;
    for (const { reject } of this.#pending.values()) reject(ended);
    this.#pending.clear();
    for (const id of this.#questions.keys()) this.#cancelled(id);
    if (!isStopped) this.#events.ended(ended);
  }
}

/** The id of a request, which some programs write as a text. */
const idOf = (given: unknown): number =>
  typeof given === 'number' || (typeof given === 'string' && /^\d+$/.test(given))
    ? Number(given)
    : NaN;
