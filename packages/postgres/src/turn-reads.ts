/**
 * The questions of one turn go to the server in one statement: most of what a short question costs is its trip. Where
 * the server refuses what one of them holds, each is asked alone.
 */
import { SojournError, afterTurn } from 'sojourn/internal';

interface WaitingRead<Question, Answer> {
  readonly question: Question;
  resolve(answer: Answer): void;
  reject(cause: unknown): void;
}

export class TurnReads<Question, Answer> {
  readonly #answer: (questions: readonly Question[]) => Promise<readonly Answer[]>;
  #asked: WaitingRead<Question, Answer>[] = [];

  /** `answer`: answers all, in their order. */
  constructor(answer: (questions: readonly Question[]) => Promise<readonly Answer[]>) {
    this.#answer = answer;
  }

  ask(question: Question): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#asked.length === 0) afterTurn(() => this.#send());
      this.#asked.push({ question, resolve, reject });
    });
  }

  #send(): void {
    const asked = this.#asked;
    this.#asked = [];
    void this.#ask(asked);
  }

  async #ask(asked: ReadonlyArray<WaitingRead<Question, Answer>>): Promise<void> {
    try {
      const answers = await this.#answer(asked.map(({ question }) => question));
      for (const [n, { resolve }] of asked.entries()) resolve(answers[n] as Answer);
    } catch (cause) {
      const isAway = cause instanceof SojournError && cause.code === 'STORE_UNAVAILABLE';
      if (asked.length === 1 || isAway) for (const { reject } of asked) reject(cause);
      else for (const one of asked) void this.#ask([one]);
    }
  }
}
