/** The person behind a client, who answers when the test says so. */
export interface SlowPerson {
  /** For the client: `connect(url, { elicit: person.elicit })`. */
  elicit(params: Readonly<Record<string, unknown>>): Promise<object>;
  /** What they were asked, once they were. */
  readonly asked: Promise<Readonly<Record<string, unknown>>>;
  answer(reply: object): void;
}

export function createSlowPerson(): SlowPerson {
  let tell: (params: Readonly<Record<string, unknown>>) => void;
  let answer: (reply: object) => void;
  const asked = new Promise<Readonly<Record<string, unknown>>>((resolve) => {
    tell = resolve;
  });
  const answered = new Promise<object>((resolve) => {
    answer = resolve;
  });
  return {
    elicit: (params) => {
      tell(params);
      return answered;
    },
    asked,
    answer: (reply) => answer(reply),
  };
}
