/**
 * `ctx.requestState`: the SDK's codec over several keys. The first seals, all open, so keys can be rotated. What is sealed
 * is bound to the user and to the request it came from, its method and what it is about: one tool's state does not open in
 * another (specification 2026-07-28, multi round-trip requests). For 600 s.
 */
import { createRequestStateCodec, type RequestStateCodec, type ServerContext } from '@modelcontextprotocol/server';
import type { AuthInfo } from '@modelcontextprotocol/server';

const TTL_SECONDS = 600;

export type RequestStateKey = string | Uint8Array;

export function createRequestState(
  /** The same array as long as they are the same keys. */
  keys: () => Promise<readonly RequestStateKey[]>,
  userOf: (authInfo: AuthInfo | undefined) => string | undefined,
  /** The name or URI that the running request is about. */
  target: () => string | undefined,
): RequestStateCodec {
  const bind = (ctx: ServerContext): string =>
    JSON.stringify([userOf(ctx.http?.authInfo) ?? null, ctx.mcpReq.method, target() ?? null]);
  let of: readonly RequestStateKey[] | undefined;
  let made: readonly RequestStateCodec[] = [];
  const codecs = async (): Promise<readonly RequestStateCodec[]> => {
    const all = await keys();
    if (of !== all) made = all.map((key) => createRequestStateCodec({ key, ttlSeconds: TTL_SECONDS, bind }));
    of = all;
    return made;
  };
  return {
    async mint(payload, ctx) {
      const [first] = await codecs();
      if (first === undefined) throw new Error('requestState: there is no key');
      return first.mint(payload, ctx);
    },
    async verify(state, ctx) {
      let failure: unknown;
      for (const codec of await codecs()) {
        try {
          return await codec.verify(state, ctx);
        } catch (error) {
          failure ??= error;
        }
      }
      throw failure;
    },
  };
}
