/**
 * The URIs of resources that a message names. Servers find a resource by `new URL(uri)`, whose time grows with the
 * square of a host that is not ASCII: 8 KiB take 10 ms, a million characters minutes.
 */
type Bag = Readonly<Record<string, unknown>>;

/** Of one URI. */
const MOST_BYTES = 8_192;

/** Why a message with these parameters cannot be passed on; `undefined`: it can. */
export function uriFault(method: string, params: unknown): string | undefined {
  const isTooLong = (uri: unknown): boolean => typeof uri === 'string' && Buffer.byteLength(uri) > MOST_BYTES;
  return urisOf(method, bagOf(params)).some(isTooLong)
    ? `the URI of a resource may have ${MOST_BYTES} bytes`
    : undefined;
}

function urisOf(method: string, { uri, ref, notifications }: Bag): readonly unknown[] {
  if (method === 'completion/complete') return [bagOf(ref)['uri']];
  if (method !== 'subscriptions/listen') return [uri];
  const { resourceSubscriptions } = bagOf(notifications);
  return Array.isArray(resourceSubscriptions) ? resourceSubscriptions : [];
}

function bagOf(value: unknown): Bag {
  return typeof value === 'object' && value !== null ? (value as Bag) : {};
}
