/**
 * Scripts that run in Redis, each in one atomic step. They use its clock and name all their keys; whoever changes one gives
 * it another hash, so an older build beside a newer one goes on with its own.
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

/** `now`: ms since 1970. `whole`: a number without an exponent. */
export const CLOCK = `
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function whole(n) return string.format('%.0f', n) end
`;
