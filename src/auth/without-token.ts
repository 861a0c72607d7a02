/** An error of the application may quote the token that it was given, or an address with the token in it. */
export function withoutToken(text: string, token: string): string {
  return token === '' ? text : text.replaceAll(token, '[token]').replaceAll(encodeURIComponent(token), '[token]');
}

/** What was thrown, as the log may have it. */
export function thrownWithoutToken(cause: unknown, token = ''): unknown {
  const { message, stack = '' } = cause instanceof Error ? cause : new Error(String(cause));
  if (withoutToken(message + stack, token) === message + stack) return cause;
  return Object.assign(new Error(withoutToken(message, token)), { stack: withoutToken(stack, token) });
}
