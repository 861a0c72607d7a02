type Asked = Readonly<Record<string, unknown>>;

/** The person behind a client, who answers when the test says so: `connect(url, { elicit: person.elicit })`. */
export function createSlowPerson() {
  let tell: (params: Asked) => void;
  let answer: (reply: object) => void;
  const asked = new Promise<Asked>((resolve) => (tell = resolve));
  const answered = new Promise<object>((resolve) => (answer = resolve));
  return {
    elicit: (params: Asked): Promise<object> => {
      tell(params);
      return answered;
    },
    /** What they were asked, once they were. */
    asked,
    answer: (reply: object): void => answer(reply),
  };
}
