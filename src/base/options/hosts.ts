/** Normalises host names and origins of the options to the form that headers are compared with. */
import { orUndefined } from '../or-undefined.ts';
import { optionInvalid } from '../errors.ts';

/** The default for `Host` and `Origin`: this machine, as a URL spells it. */
export const LOOPBACK_NAMES: readonly string[] = Object.freeze(['localhost', '127.0.0.1', '[::1]']);

/** The same, and the name in the URL of a server: loopback has more addresses, and a machine may name them. */
export const loopbackNames = (url: string): readonly string[] => [
  ...LOOPBACK_NAMES,
  new URL(url).hostname,
];

const HOST = "a host name without scheme, port and wildcard, e.g. 'mcp.example' or '[::1]'";
const ORIGIN =
  "an origin ('https://app.example'), a host name without port ('app.example'), or '*'";

export function checkHost(option: string, value: unknown): string {
  const name = hostName(option, value, HOST);
  if (name === undefined) throw optionInvalid('range', option, value, HOST);
  return name;
}

export function checkOrigin(option: string, value: unknown): string {
  if (value === '*') return value;
  const found =
    typeof value === 'string' && value.includes('://')
      ? origin(value)
      : hostName(option, value, ORIGIN);
  if (found === undefined) throw optionInvalid('range', option, value, ORIGIN);
  return found;
}

function hostName(option: string, value: unknown, takes: string): string | undefined {
  if (typeof value !== 'string') throw optionInvalid('type', option, value, takes);
  const bare = !value.startsWith('[') && value.split(':').length > 2;
  const spelled = bare ? `[${value}]` : value;
  // The URL parser drops a default port, so look for the colon in the text.
  if (
    spelled === '' ||
    spelled.includes('*') ||
    /[\s/\\?#@]/.test(spelled) ||
    /:\d*$/.test(spelled)
  )
    return undefined;
  return orUndefined(() => new URL(`http://${spelled}/`).hostname);
}

function origin(text: string): string | undefined {
  const url = orUndefined(() => new URL(text));
  if (url === undefined || url.host === '' || text.includes('*')) return undefined;
  const more =
    url.username + url.password + url.search + url.hash + url.pathname.replace(/^\/$/, '');
  // `URL.origin` is 'null' for schemes like vscode-webview:, but browsers send scheme and host for them.
  return more === ''
    ? url.origin === 'null'
      ? `${url.protocol}//${url.host}`
      : url.origin
    : undefined;
}
