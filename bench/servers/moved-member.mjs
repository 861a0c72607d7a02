/** A version of the SDK in which a private member has another name: `BENCH_MOVED=_onrequest`. */
import { register } from 'node:module';

let name;

export function initialize(member) {
  name = new RegExp(`(?<![\\w$])${member}(?![\\w$])`, 'g');
}

export async function load(url, context, next) {
  const loaded = await next(url, context);
  if (!url.includes('/@modelcontextprotocol/server/') || loaded.format !== 'module') return loaded;
  return { ...loaded, source: String(loaded.source).replaceAll(name, '$&Moved') };
}

/** For what is imported from now on. */
export const moveMember = (member) => register(import.meta.url, { data: member });
