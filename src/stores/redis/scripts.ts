/**
 * Lua scripts that run in Redis, each as one atomic step. They use the server's clock and declare all their keys. A
 * changed script has another hash, so builds of different versions can run side by side.
 */
import { createHash } from 'node:crypto';

export interface Script {
  readonly lua: string;
  readonly sha: string;
}

export function script(...parts: readonly string[]): Script {
  const lua = parts.map((part) => part.trim()).join('\n');
  return { lua, sha: createHash('sha1').update(lua).digest('hex') };
}

/** Defines `now`, ms since 1970, and `whole`, which formats a number without an exponent. */
export const CLOCK = `
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function whole(n) return string.format('%.0f', n) end
`;
