/** Parses `Accept` by its grammar (RFC 9110); a substring search would accept `q=0` and quoted text. */
import { BoundedMap } from '../base/bounded-map.ts';

/** A comma or a semicolon inside quotes separates nothing. */
const QUOTED = /"(?:[^"\\]|\\.)*"?/g;

/** Tells whether a type is taken. The most specific range decides: beside a range of all, `q=0` refuses a type. */
function parseAccept(header: string): (type: string) => boolean {
  const weights = new Map<string, number>();
  for (const entry of header.replace(QUOTED, '').split(',')) {
    const [range = '', ...params] = entry.split(';').map((part) => part.trim().toLowerCase());
    const weight = params.find((param) => param.startsWith('q='));
    if (!weights.has(range)) weights.set(range, weight === undefined ? 1 : Number(weight.slice(2)));
  }
  return (type) => (weights.get(type) ?? weights.get(type.replace(/\/.*/, '/*')) ?? weights.get('*/*') ?? 0) > 0;
}

interface Accepted {
  readonly json: boolean;
  /** An event stream. */
  readonly stream: boolean;
}

const cache = new BoundedMap<string, Accepted>(100);

/** Which types the client takes. Answers are cached, because clients send the same few values with every request. */
export function accepted(header = ''): Accepted {
  const known = cache.get(header);
  if (known !== undefined) return known;
  const takes = parseAccept(header);
  const made = { json: takes('application/json'), stream: takes('text/event-stream') };
  if (header.length <= 1024) cache.set(header, made);
  return made;
}
