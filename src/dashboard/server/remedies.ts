/**
 * What allows a request that was refused. The text of a refusal names its option, as the log shows it, so the option is
 * read from there; its flag, variable and member of the module follow from its name.
 */
import { flagName, variableName } from '../../options/flag-names.ts';
import type { ResolvedOptions } from '../../options/endpoint-options.ts';
import type { RefusalReason } from '../wire-pages.ts';

/** `(limits.bodyBytes)`, `option allowedHosts`: the first of them. */
const OPTION = /(?:\(|\boption )((?:limits\.(?:perUser\.|perTool\.)?)?[a-z][A-Za-z]{3,40})\b/;

/** What to do, or to consider before it is allowed. The key is the word that the log and the metrics have. */
const ADVICE: Readonly<Record<string, string>> = {
  host: 'Add it if clients reach the endpoint by this name.',
  origin: 'Allow it only if you know this site: a browser sends what its user may do.',
  unauthorized:
    'The client must get a token from your authorization server. If many tokens fail at once, compare the clocks.',
  auth_away: 'Look at the authorization server. The log has the cause.',
  insufficient_scope: 'The client must get a token with these scopes.',
  user: 'The session was opened by another user. Each user needs a session.',
  session_not_found: 'The client opens another session. If ids are from before a restart, keep sessions in a store.',
  session_id_missing: 'The client must send initialize first, and repeat the id it got.',
  session_id_invalid: 'The client must send the id unchanged. Raise the limit only if your ids are long.',
  user_limit: 'Raise the limit if this user may have more.',
  tool_limit: 'Raise the limit if the tool can do more.',
  too_many_requests: 'The session runs as many calls as it may. Raise the limit if its client needs more at once.',
  task_required: 'The client must declare the extension of tasks. The tool takes no other client.',
  too_many_tasks: 'The user must end tasks, or wait for their ends. Look for clients that start them without end.',
  too_many_sessions: 'Add instances, or raise the limit with the heap.',
  overloaded: 'Add instances, or raise the limit.',
  over_memory: 'Add instances, or give the process more heap. Look for clients that do not read their answers.',
  store_full: 'Raise limits.tombstones or limits.eventLogBytes, or use a store with a file or a server.',
  body_too_large: 'Raise the limit if clients send this much for a reason.',
  handshake_too_large: 'No known client sends this much. Look at who it is.',
  too_many_keys: 'Raise the limit if clients send this much for a reason.',
  batch_not_allowed: 'The client must send messages one by one.',
  unsupported_version: 'Update the client, or serve its revision (supportedProtocolVersions).',
  version_changed: 'The client must send the version that was negotiated.',
  header_mismatch: 'Look for a proxy that drops or rewrites headers.',
  method_not_allowed: 'Most clients try GET first: a 405 is normal where GET is not served.',
  not_acceptable: 'The client must accept JSON and event streams.',
  unsupported_media_type: 'The client must declare its body as JSON.',
  store_away: 'Check the store. Sessions are kept.',
  lapsed: 'Look for a blocked event loop, or an outage of the store.',
  owner_unreachable: 'The log names the instance and the likely causes.',
  restore_failed: 'The log has the cause. The session is kept.',
  hook_timeout: 'The log names the hook. Raise hookTimeoutMs only if it must take this long.',
  migration_failed: 'The log has the cause.',
  draining: 'Other instances serve. Look at the load balancer if it still sends requests here.',
  closed: 'Other instances serve. Look at the load balancer if it still sends requests here.',
  path: 'The client must use the address of the endpoint.',
  legacy_sse: 'The client speaks the transport of 2024-11-05: it must open its stream first.',
};

export const adviceFor = (reason: string): string | undefined =>
  Object.hasOwn(ADVICE, reason) ? ADVICE[reason] : undefined;

/** A client chose it, and a person copies it into a shell. */
const COPIED = /^(?:[a-z][a-z\d+.-]{0,20}:\/\/)?(?:[\w.-]{1,253}|\[[\da-f:.]{2,45}\])(?::\d{1,5})?$/i;

/** Reasons whose option is a list of names. */
const LISTS: Readonly<Record<string, string>> = { host: 'allowedHosts', origin: 'allowedOrigins' };
const QUOTED = /"[^"]*"/g;

/** `value`: the host or origin that was refused. */
export function allowanceFor(
  { reason, why }: Pick<RefusalReason, 'reason' | 'why'>,
  value: string | undefined,
  options: ResolvedOptions,
): RefusalReason['allow'] {
  const list = Object.hasOwn(LISTS, reason) ? LISTS[reason] : undefined;
  // What a client sent is quoted in the text, and may look like an option.
  const name = list ?? OPTION.exec(why.replace(QUOTED, ''))?.[1];
  const present = name === undefined ? undefined : memberOf(options, name);
  if (name === undefined || present === undefined) return undefined;
  if (list === undefined && typeof present !== 'number') return undefined;
  const isCopied = list !== undefined && value !== undefined && COPIED.test(value);
  if (list !== undefined && !isCopied) return undefined;
  const listed = isCopied ? [...new Set([...(present as readonly string[]), value])] : undefined;
  const next = listed ?? Math.ceil((present as number) * 2);
  const text = Array.isArray(next) ? next.join(',') : String(next);
  const module = moduleText(name, JSON.stringify(next));
  // Objects have no flag.
  if (/\.per(?:User|Tool)\./.test(name)) return { module };
  return { flag: `--${flagName(name)} '${text}'`, variable: `${variableName(name)}='${text}'`, module };
}

function memberOf(options: ResolvedOptions, name: string): unknown {
  // The option without a value allows the names of this machine.
  if (name === 'allowedHosts') return options.allowedHosts ?? [];
  const [first = '', ...rest] = name.split('.');
  const root: unknown =
    first === 'limits' && rest[0] === 'perUser' ? { perUser: options.perUser } : Reflect.get(options, first);
  return rest.reduce<unknown>((of, key) => Reflect.get(Object(of) as object, key), root);
}

/** `limits: { perUser: { requestsPerMinute: 1200 } }` */
function moduleText(name: string, value: string): string {
  const [first = '', ...rest] = name.split('.');
  return `${first}: ${rest.reduceRight((inner, key) => `{ ${key}: ${inner} }`, value)}`;
}
