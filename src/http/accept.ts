/** Parses `Accept` by its grammar (RFC 9110); a substring search would accept `q=0` and quoted text. */
import { BoundedMap } from '../base/bounded-map.ts';

/** The entries of a list between commas. A comma inside quotes separates nothing. */
const ENTRIES = /(?:[^,"]|"(?:[^"\\]|\\.)*"?)+/g;
const PARTS = /(?:[^;"]|"(?:[^"\\]|\\.)*"?)+/g;

/** Tells whether a type is taken. The most specific range decides: beside a range of all, `q=0` refuses a type. */
function parseAccept(header: string): (type: string) => boolean {
  const weights = new Map<string, number>();
  for (const entry of header.match(ENTRIES) ?? []) {
    const [range = '', ...params] = (entry.match(PARTS) ?? []).map((part) => part.trim().toLowerCase());
    const weight = params.find((param) => param.startsWith('q='));
    if (!weights.has(range)) weights.set(range, weight === undefined ? 1 : Number(weight.slice(2)));
  }
  return (type) => (weights.get(type) ?? weights.get(type.replace(/\/.*/, '/*')) ?? weights.get('*/*') ?? 0) > 0;
}

const cache = new BoundedMap<string, { json: boolean; stream: boolean }>(100);

/** Verdicts are cached, because clients send the same few values with every request. */
function verdict(header: string | undefined): { json: boolean; stream: boolean } {
  const key = header ?? '';
  const known = cache.get(key);
  if (known !== undefined) return known;
  const takes = parseAccept(key);
  const made = { json: takes('application/json'), stream: takes('text/event-stream') };
  if (key.length <= 1024) cache.set(key, made);
  return made;
}

export function acceptsBoth(header: string | undefined): boolean {
  const { json, stream } = verdict(header);
  return json && stream;
}

export function acceptsJson(header: string | undefined): boolean {
  return verdict(header).json;
}

export function acceptsStream(header: string | undefined): boolean {
  return verdict(header).stream;
}
