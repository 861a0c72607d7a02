/** Parses `Accept` by its grammar (RFC 9110); a substring search would accept `q=0` and quoted text. */
import { BoundedMap } from '../base/bounded-map.ts';

interface MediaRange {
  readonly range: string;
  readonly q: number;
}

/** The entries of a list between commas. A comma inside quotes separates nothing. */
const ENTRIES = /(?:[^,"]|"(?:[^"\\]|\\.)*"?)+/g;
const PARTS = /(?:[^;"]|"(?:[^"\\]|\\.)*"?)+/g;

function parseAccept(header: string): MediaRange[] {
  return (header.match(ENTRIES) ?? []).flatMap((entry) => {
    const [range = '', ...params] = (entry.match(PARTS) ?? []).map((part) => part.trim().toLowerCase());
    if (range === '') return [];
    const q = params.find((param) => param.startsWith('q='));
    return [{ range, q: q === undefined ? 1 : Number(q.slice(2)) }];
  });
}

function accepts(ranges: readonly MediaRange[], type: string): boolean {
  const family = `${type.slice(0, type.indexOf('/'))}/*`;
  // The most specific range decides, so `*/*, text/event-stream;q=0` does not accept a stream.
  for (const candidate of [type, family, '*/*']) {
    const found = ranges.find((entry) => entry.range === candidate);
    if (found !== undefined) return found.q > 0;
  }
  return false;
}

const cache = new BoundedMap<string, { json: boolean; stream: boolean }>(100);

/** Verdicts are cached, because clients send the same few values with every request. */
function verdict(header: string | undefined): { json: boolean; stream: boolean } {
  const key = header ?? '';
  const known = cache.get(key);
  if (known !== undefined) return known;
  const ranges = parseAccept(key);
  const made = {
    json: accepts(ranges, 'application/json'),
    stream: accepts(ranges, 'text/event-stream'),
  };
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
