/** A shorter token is no secret, and may be a part of a common word. */
const SHORTEST = 6;

/** An error of the application may quote the token that it was given, or an address with the token in it. */
export function withoutToken(text: string, token: string): string {
  if (token.length < SHORTEST) return text;
  return text.replaceAll(token, '[token]').replaceAll(encodeURIComponent(token), '[token]');
}

/** What was thrown, and `depth` of its causes and of the errors that it collects, as the log may have it. */
export function thrownWithoutToken(thrown: unknown, token = '', depth = 5): unknown {
  const given: Error & { readonly errors?: unknown } =
    thrown instanceof Error ? thrown : new Error(String(thrown));
  const { message, stack = '', cause, errors } = given;
  const inner = (one: unknown): unknown =>
    depth === 0 || one === undefined ? undefined : thrownWithoutToken(one, token, depth - 1);
  const all: unknown[] = Array.isArray(errors) ? errors : [];
  const [shown, ...shownErrors] = [cause, ...all].map(inner);
  const isClean = shown === cause && shownErrors.every((one, n) => one === all[n]);
  if (isClean && withoutToken(message + stack, token) === message + stack) return thrown;
  const copy = new Error(withoutToken(message, token), { cause: shown });
  return Object.assign(copy, {
    stack: withoutToken(stack, token),
    ...(all.length > 0 && { errors: shownErrors }),
  });
}
