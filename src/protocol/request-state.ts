/**
 * `ctx.requestState`: the SDK's codec over several keys. The first key seals and every key opens, so keys can be
 * rotated. A sealed state is bound to the user and to the request it came from: its method and its target. One tool's
 * state does not open in another tool (specification 2026-07-28, multi round-trip requests). It lasts 600 s.
 */
import { createRequestStateCodec, type RequestStateCodec, type ServerContext } from '@modelcontextprotocol/server';
import type { AuthInfo } from '@modelcontextprotocol/server';

const TTL_SECONDS = 600;

export type RequestStateKey = string | Uint8Array;

export function createRequestState(
  /** Returns the same array as long as the keys are the same. */
  keys: () => Promise<readonly RequestStateKey[]>,
  userOf: (authInfo: AuthInfo | undefined) => string | undefined,
  /** The name or URI that is the target of the running request. */
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
