/** For work whose failure says only that there is no result, such as parsing a text that may be none of its kind. */
export function orUndefined<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}
