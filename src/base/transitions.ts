/** The states that may follow each state of an object. */
export type Transitions<State extends string> = Readonly<Record<State, readonly State[]>>;

/** Returns `to`. Throws when it must not follow `from`: that is a bug of this package. */
export function follow<State extends string>(
  allowed: Transitions<State>,
  from: State,
  to: State,
): State {
  if (!allowed[from].includes(to)) throw new Error(`'${to}' cannot follow '${from}'`);
  return to;
}
