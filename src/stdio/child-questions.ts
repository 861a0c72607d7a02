/**
 * What the children of a place ask: which listener gets it, and how long their calls wait.
 *
 * A program may ask its client when it is initialized, as for roots. Its calls begin when it has the
 * answers and has used them, or after 4 s.
 */
import { elapse } from '../base/system.ts';
import type { TimeProvider } from '../base/types.ts';
import { FirstAnswers, WAIT_MS } from '../session/calls/first-answers.ts';
import type { Child, ChildListener, Question } from './child.ts';

/** How long a question of a child waits for a call that can carry it. */
const HELD_MS = 30_000;
/**
 * A program does not say when it has used an answer: `server-filesystem` looks up each folder. On a busy machine it takes
 * longer to answer the pings in that time.
 */
const [PINGS, APART_MS] = [10, 25];

export class ChildQuestions {
  readonly listeners = new Set<ChildListener>();
  readonly #time: TimeProvider;
  /** Why no later listener gets a question. `undefined`: the client can be asked. */
  readonly #refusal: string | undefined;
  /** No call can carry them yet, so no call waits for their answers. */
  readonly #held = new Set<Question>();
  /** How often a listener got a question. */
  #passed = 0;
  #child: Child | undefined = undefined;
  /** Its calls wait for these. */
  first: FirstAnswers | undefined = undefined;

  constructor(time: TimeProvider, refusal: string | undefined) {
    this.#time = time;
    this.#refusal = refusal;
  }

  listen(listener: ChildListener): () => void {
    this.listeners.add(listener);
    const held = [...this.#held];
    this.#held.clear();
    if (held.length > 0) this.initialized(this.#child);
    for (const question of held) this.#pass(question, listener);
    return () => this.listeners.delete(listener);
  }

  /** A child may ask at its start. The next listener takes the question. */
  take(question: Question): void {
    const [listener] = this.listeners;
    question.signal.addEventListener('abort', () => this.first?.ended(question), { once: true });
    if (listener !== undefined) this.#pass(question, listener);
    else if (this.#refusal === undefined) this.hold(question);
    else question.refuse(-32_601, this.#refusal);
  }

  #pass(question: Question, listener: ChildListener): void {
    this.#passed += 1;
    this.first?.asked(question);
    listener.question(question);
  }

  /** Keeps a question for the next listener. */
  hold(question: Question): void {
    const { signal } = question;
    if (signal.aborted) return;
    this.first?.ended(question);
    this.#held.add(question);
    const timer = this.#time.setTimeout(() => {
      if (this.#held.delete(question)) question.refuse(-32_601, 'No client could be asked');
    }, HELD_MS);
    const over = (): void => {
      this.#held.delete(question);
      this.#time.clearTimeout(timer);
    };
    signal.addEventListener('abort', over, { once: true });
  }

  /** The child has heard that its client is: its calls wait for what it asks then, and again once that is passed on. */
  initialized(child: Child | undefined): void {
    if (child === undefined || this.#refusal !== undefined) return;
    if (child === this.#child && this.first?.isOver === false) return;
    this.#child = child;
    // The child reads in order: its answer shows that it has asked, or has read what it was answered.
    const ping = (): Promise<unknown> => child.request('ping').catch(() => {});
    const before = this.#passed;
    const used = async (): Promise<void> => {
      for (let n = 0; n < PINGS && this.#passed > before; n += 1) {
        await ping();
        await elapse(this.#time, APART_MS);
      }
    };
    const options = { timeProvider: this.#time, hookTimeoutMs: Infinity };
    const first = (this.first = new FirstAnswers(options, [ping], used, WAIT_MS));
    void ping().then(() => first.ended(ping));
  }
}
