/**
 * A call of a 2026-07-28 client in a child that asks by requests, as 2025 did. Each round of the
 * client is a request. The call in the child is one, and waits between the rounds:
 *
 *     running ──the child answers──▶ over
 *       │  ▲
 *       ▼  │ the client comes back with its answers
 *     asking ──10 min, too many, or another call needs the child──▶ lost: cancelled in the child
 *
 * The state that the client brings has all its answers so far. Where the run is lost, a call that
 * may run again does so in another child, and gets the answers to questions it asks again.
 */
import { digestText } from '../base/digest.ts';
import { base64url, elapse, systemRandom } from '../base/system.ts';
import type { TimeProvider } from '../base/types.ts';
import type { Asked, ChildListener, Notified, RpcParams, Question, Result } from './child.ts';
import type { Place } from './place.ts';

/** Digests of questions, with what the client answered. */
export type Answers = readonly (readonly [question: string, answer: unknown])[];

export type InputRequests = Readonly<Record<string, { method: string; params?: RpcParams }>>;

export type RoundOutcome =
  | { readonly kind: 'result'; readonly result: Result }
  | { readonly kind: 'asks'; readonly inputRequests: InputRequests };

/** Questions of one call often come together. */
const GATHER_MS = 15;
const ID_BYTES = 18;

const digestOf = ({ method, params }: Pick<Question, 'method' | 'params'>): string => {
  const { _meta, ...rest } = params ?? {};
  return digestText(JSON.stringify([method, rest])).slice(0, 22);
};

/** Runs the call in the child. `begins`: it begins there, once more if the child ended. */
export interface CallInChild {
  run(asked: Asked, begins: () => void): Promise<Result>;
  /** The child is not needed any more. */
  over(): void;
}

export class Run implements ChildListener {
  readonly id = base64url(systemRandom(ID_BYTES));
  readonly place: Place;
  readonly #time: TimeProvider;
  readonly #answers: [string, unknown][];
  /** Those that this attempt has not asked for. */
  #unused: [string, unknown][] = [];
  readonly #asked = new Map<string, Question>();
  readonly #controller = new AbortController();
  readonly #result: Promise<RoundOutcome>;
  /** Gets the notifications of a round. */
  #round: Notified | undefined = undefined;
  #wake: (() => void) | undefined = undefined;
  #questions = 0;
  /** Digests of the questions of the last round, by their names. */
  asked: Readonly<Record<string, string>> = {};

  constructor(place: Place, time: TimeProvider, answers: Answers, call: CallInChild) {
    this.place = place;
    this.#time = time;
    this.#answers = answers.map(([question, answer]) => [question, answer]);
    // The child may have asked before the call begins.
    this.#unused = [...this.#answers];
    const release = place.lease();
    const leave = place.questions.listen(this);
    const asked: Asked = {
      signal: this.#controller.signal,
      notified: (method, params) => this.#round?.(method, params),
    };
    this.#result = call
      .run(asked, () => void (this.#unused = [...this.#answers]))
      .then((result): RoundOutcome => ({ kind: 'result', result }))
      .finally(() => {
        leave();
        this.place.waiting = undefined;
        for (const question of this.#asked.values()) place.questions.hold(question);
        this.#asked.clear();
        release();
        call.over();
      });
    this.#result.catch(() => {});
  }

  get answers(): Answers {
    return this.#answers;
  }

  question(question: Question): void {
    const digest = digestOf(question);
    const known = this.#unused.findIndex(([of]) => of === digest);
    if (known >= 0) return question.answer(this.#unused.splice(known, 1)[0]?.[1]);
    const name = `q${(this.#questions += 1)}`;
    this.#asked.set(name, question);
    question.signal.addEventListener('abort', () => this.#asked.delete(name), { once: true });
    this.#wake?.();
  }

  /**
   * What the client answers to the questions of the last round. A child that ended since has them no more: the next one
   * has asked them under other names, or will.
   */
  take(responses: Readonly<Record<string, unknown>> = {}): void {
    for (const [name, digest] of Object.entries(this.asked)) {
      if (!Object.hasOwn(responses, name)) continue;
      const answer: [string, unknown] = [digest, responses[name]];
      this.#answers.push(answer);
      const now = this.#asked.has(name) ? name : this.#nameOf(digest);
      if (now === undefined) this.#unused.push(answer);
      else this.#asked.get(now)?.answer(answer[1]);
      this.#asked.delete(now ?? name);
    }
    this.asked = {};
  }

  #nameOf(digest: string): string | undefined {
    return [...this.#asked].find(([, question]) => digestOf(question) === digest)?.[0];
  }

  /** One round: until the child answers, or asks. `signal`: the client has left. */
  async next(round: Notified, signal: AbortSignal): Promise<RoundOutcome> {
    this.#round = round;
    this.place.waiting = undefined;
    const leave = (): void => this.cancel('The client has left');
    signal.addEventListener('abort', leave, { once: true });
    try {
      for (;;) {
        const asks = new Promise<undefined>((wake) => {
          this.#wake = () => wake(undefined);
          if (this.#asked.size > 0) wake(undefined);
        });
        const more = () => elapse(this.#time, GATHER_MS).then(() => undefined);
        const outcome =
          (await Promise.race([this.#result, asks])) ??
          (await Promise.race([this.#result, more()]));
        if (outcome !== undefined) return outcome;
        if (this.#asked.size > 0) return { kind: 'asks', inputRequests: this.#inputRequests() };
      }
    } finally {
      this.#round = undefined;
      this.#wake = undefined;
      signal.removeEventListener('abort', leave);
    }
  }

  #inputRequests(): InputRequests {
    this.asked = Object.fromEntries([...this.#asked].map(([name, of]) => [name, digestOf(of)]));
    const asked = [...this.#asked].map(([name, { method, params }]) => {
      return [name, { method, ...(params && { params }) }] as const;
    });
    return Object.fromEntries(asked);
  }

  cancel(why: string): void {
    this.#controller.abort(why);
  }
}
