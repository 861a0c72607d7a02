/**
 * `ctx.requestState`: an encrypting codec over several keys, with the interface of the SDK's codec. The first key seals
 * and every key opens, so keys can be rotated. A sealed state is bound to the user and to the request it came from: its
 * method and its target. One tool's state does not open in another tool (specification 2026-07-28, multi round-trip
 * requests). It lasts 600 s, and within that time a client may send it any number of times.
 *
 * A state is `s1.` and a sealed text (`sealed-text.ts`) of `{"p": payload, "exp": seconds since 1970}`.
 */
import type { AuthInfo, RequestStateCodec, ServerContext } from '@modelcontextprotocol/server';
import { NONCE_BYTES, open, seal, sealingKey } from './sealed-text.ts';

export interface RequestStateOptions {
  /** Made by `stateKey`. */
  keys(): Promise<readonly Uint8Array[]>;
  userOf(authInfo: AuthInfo | undefined): string | undefined;
  /** The name or URI that is the target of the running request. */
  target(): string | undefined;
  /** Whether the running request is a round of a task: its state never left the server, and has no age. */
  ofTask(): boolean;
  /** ms since 1970. */
  now(): number;
  random(bytes: number): Uint8Array;
}

const TTL_SECONDS = 600;
const PREFIX = 's1.';

/** The label lets the same secret be a key of `sealedSessions` too. */
export const stateKey = (secret: string | Uint8Array): Uint8Array =>
  sealingKey(secret, 'sojourn requestState v1');

interface SealedState {
  readonly p: unknown;
  readonly exp: number;
}

/**
 * `verify` rejects with the reasons of the SDK's codec as its message: `malformed`, `mac` (another key, user, method or
 * target), `expired`.
 */
export function createRequestState({
  keys,
  userOf,
  target,
  ofTask,
  now,
  random,
}: RequestStateOptions): RequestStateCodec {
  const boundTo = (ctx: ServerContext): string =>
    JSON.stringify([userOf(ctx.http?.authInfo) ?? null, ctx.mcpReq.method, target() ?? null]);
  const seconds = (): number => Math.floor(now() / 1_000);
  return {
    async mint(payload, ctx) {
      if (ctx === undefined)
        throw new TypeError('requestState: mint() needs the context of the request');
      const [first] = await keys();
      if (first === undefined) throw new Error('requestState: there is no key');
      const state: SealedState = { p: payload, exp: seconds() + TTL_SECONDS };
      return PREFIX + seal(first, random(NONCE_BYTES), JSON.stringify(state), boundTo(ctx));
    },
    async verify(text, ctx) {
      if (!text.startsWith(PREFIX)) throw new Error('malformed');
      const bound = boundTo(ctx);
      for (const key of await keys()) {
        const plain = open(key, text.slice(PREFIX.length), bound);
        if (plain === undefined) continue;
        const { p, exp } = JSON.parse(plain.toString()) as SealedState;
        if (exp < seconds() && !ofTask()) throw new Error('expired');
        return p;
      }
      throw new Error('mac');
    },
  };
}
