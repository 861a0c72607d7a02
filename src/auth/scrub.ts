/** An error of the application may quote the token that it was given. */
export function withoutToken(text: string, token: string): string {
  return token === '' ? text : text.replaceAll(token, '[token]');
}
