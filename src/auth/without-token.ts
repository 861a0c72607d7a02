/** A shorter token is no secret, and may be a part of a common word. */
const SHORTEST = 6;

/** An error of the application may quote the token that it was given, or an address with the token in it. */
export function withoutToken(text: string, token: string): string {
  if (token.length < SHORTEST) return text;
  return text.replaceAll(token, '[token]').replaceAll(encodeURIComponent(token), '[token]');
}

/** What was thrown, and `depth` of its causes, as the log may have it. */
export function thrownWithoutToken(thrown: unknown, token = '', depth = 5): unknown {
  const { message, stack = '', cause } = thrown instanceof Error ? thrown : new Error(String(thrown));
  const shown = depth === 0 || cause === undefined ? undefined : thrownWithoutToken(cause, token, depth - 1);
  if (shown === cause && withoutToken(message + stack, token) === message + stack) return thrown;
  const copy = new Error(withoutToken(message, token), { cause: shown });
  return Object.assign(copy, { stack: withoutToken(stack, token) });
}
