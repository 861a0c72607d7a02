/**
 * Lua scripts that run in Redis, each as one atomic step. They declare all their keys. A changed script has another
 * hash, so builds of different versions can run side by side.
 */
import { createHash } from 'node:crypto';

export interface Script {
  readonly lua: string;
  readonly sha: string;
}

export function script(text: string): Script {
  const lua = text.trim();
  return { lua, sha: createHash('sha1').update(lua).digest('hex') };
}
