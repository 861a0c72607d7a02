/** What a caller may use, as sessions and eras need it. `src/auth/authorizer.ts` implements it for `auth.authorize`. */
import type { AuthInfo } from '@modelcontextprotocol/server';
import type { Checked, RpcRequest } from '../../protocol/jsonrpc.ts';
import type { MaybePromise } from '../../stores/store.ts';

export interface Authorizer {
  /**
   * The request to dispatch for this caller: the given request, or a request with an unknown name in place of a name
   * that the caller may not use. The answer is then the server's own answer for an unknown name.
   */
  admit(request: RpcRequest, authInfo: AuthInfo | undefined): MaybePromise<RpcRequest>;
  /** Before the server is connected: its lists show what their callers may use, its errors the names that were sent. */
  watch(server: object): void;
  /** A text of the server, with the names that were sent. */
  reveal(text: string): string;
}

/** The messages of one POST, each request admitted. */
export function admitAll(
  authorizer: Authorizer,
  messages: readonly Checked[],
  authInfo: AuthInfo | undefined,
): MaybePromise<readonly Checked[]> {
  const admitted = messages.map((checked): MaybePromise<Checked> => {
    if (checked.kind !== 'request') return checked;
    const request = authorizer.admit(checked.message, authInfo);
    if (request instanceof Promise) return request.then((message) => ({ kind: 'request', message }));
    return request === checked.message ? checked : { kind: 'request', message: request };
  });
  return admitted.some((one) => one instanceof Promise)
    ? Promise.all(admitted.map(async (one) => one))
    : (admitted as Checked[]);
}
