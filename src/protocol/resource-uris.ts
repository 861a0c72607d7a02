/**
 * The URIs of resources that a message names. Servers find a resource by `new URL(uri)`, whose time grows with the
 * square of a host that is not ASCII: one host of 130,000 characters holds up the process for five seconds.
 */
type Bag = Readonly<Record<string, unknown>>;

/** The name of a host has at most 253 characters, and some of them may be written in percent-encoding. */
const LONGEST_HOST = 512;

/** The schemes whose host `URL` converts. A host of any other scheme is any text. */
const CONVERTED = /^(?:https?|wss?|ftp|file):/i;

/** Why a message with these parameters cannot be passed on; `undefined`: it can. */
export function uriFault(method: string, params: unknown): string | undefined {
  const isRefused = urisOf(method, bagOf(params)).some((uri) => typeof uri === 'string' && hasLongHost(uri));
  return isRefused ? `the host of a resource URI may have ${LONGEST_HOST} characters` : undefined;
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

function hasLongHost(uri: string): boolean {
  if (uri.length <= LONGEST_HOST) return false;
  const text = asParsed(uri);
  const [scheme] = CONVERTED.exec(text) ?? [];
  if (scheme === undefined) return false;
  const [slashes = ''] = /^[/\\]*/.exec(text.slice(scheme.length)) ?? [];
  // A file has a host after two slashes alone.
  if (/^file/i.test(scheme) && slashes.length !== 2) return false;
  const [authority = ''] = /^[^/\\?#]*/.exec(text.slice(scheme.length + slashes.length)) ?? [];
  return authority.length - authority.lastIndexOf('@') - 1 > LONGEST_HOST;
}

/** `URL` drops tabs and line ends wherever they are, and control characters and blanks before the scheme. */
function asParsed(uri: string): string {
  const text = uri.replaceAll(/[\t\n\r]/g, '');
  let from = 0;
  while (text.charCodeAt(from) <= 0x20) from += 1;
  return text.slice(from);
}
