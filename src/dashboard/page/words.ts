/** What a reason of a refusal means, and what to do about it. The key is the word that the log and the metrics have. */

const TITLES: Readonly<Record<string, string>> = {
  origin: 'A website calls that is not allowed',
  host: 'A host name that is not allowed',
  unauthorized: 'No valid access token',
  session_not_found: 'The session is not known',
  user: 'A session of another user',
  user_limit: 'One user is over a limit',
  tool_limit: 'A tool is over its limit',
  over_memory: 'The memory budget is used up',
  path: 'A path that is not served',
  legacy_sse: 'A client of the transport before 2025',
  body_too_large: 'A request that is too large',
  not_acceptable: 'A client that cannot read the answer',
  unsupported_version: 'A revision that is not served',
  store_unavailable: 'The store did not answer',
  endpoint_closed: 'The instance was closing',
};

export function titleOf(reason: string): string {
  const words = reason.replaceAll('_', ' ');
  return (
    (Object.hasOwn(TITLES, reason) ? TITLES[reason] : undefined) ??
    words.charAt(0).toUpperCase() + words.slice(1)
  );
}

const ADVICE: Readonly<Record<string, string>> = {
  host: 'Add it if clients reach the endpoint by this name.',
  origin: 'Allow it only if you know this site: a browser sends what its user may do.',
  unauthorized: 'The client must get a token from your authorization server.',
  auth_unavailable: 'Look at the authorization server.',
  insufficient_scope: 'The client must get a token with these scopes.',
  user: 'The session was opened by another user. Each user needs a session.',
  session_not_found:
    'The client opens another session. If ids are from before a restart, keep sessions in a store.',
  session_id_missing: 'The client must send initialize first, and repeat the id it got.',
  session_id_invalid:
    'The client must send the id unchanged. If your ids are long, set maxLength of sessionIdGenerator.',
  user_limit: 'Raise the member of limits.perUser that the text names, if this user may have more.',
  user_forgotten: 'The user was deleted on request.',
  tool_limit: 'Raise the member of limits.perTool that the text names, if the tool can do more.',
  too_many_requests:
    'The session runs as many calls as it may. Raise the limit if its client needs more at once.',
  task_required: 'The client must declare the extension of tasks. The tool takes no other client.',
  too_many_tasks: 'The user must end tasks, or wait for their ends.',
  too_many_sessions: 'Add instances, or raise the limit with the heap.',
  overloaded: 'Add instances, or raise the limit.',
  children_busy: 'Raise --max-children if the machine has the memory, or add instances.',
  children_starting: 'Add cores or instances: programs start more slowly than calls need them.',
  over_memory: 'Add instances, or give the process more heap.',
  store_full: 'Raise the limit if there is room.',
  body_too_large: 'Raise the limit if clients send this much for a reason.',
  handshake_too_large: 'No known client sends this much.',
  too_many_keys: 'Raise the limit that the text names if clients send this much for a reason.',
  batch_not_allowed: 'The client must send messages one by one.',
  unsupported_version: 'Update the client, or serve its revision (supportedProtocolVersions).',
  version_changed: 'The client must send the version that was negotiated.',
  header_mismatch: 'Look for a proxy that drops or rewrites headers.',
  method_not_allowed: 'Most clients try GET first: a 405 is normal where GET is not served.',
  not_acceptable: 'The client must accept JSON and event streams.',
  unsupported_media_type: 'The client must declare its body as JSON.',
  store_unavailable: 'Check the store. Sessions are kept.',
  lease_lost: 'Look for a blocked event loop, or an outage of the store.',
  owner_unreachable: 'The log names the instance and the likely causes.',
  restore_failed: 'The log has the cause. The session is kept.',
  hook_timeout: 'The log names the hook. Raise hookTimeoutMs only if it must take this long.',
  migration_failed: 'The log has the cause.',
  draining: 'Other instances serve. Look at the load balancer if it still sends requests here.',
  endpoint_closed:
    'Other instances serve. Look at the load balancer if it still sends requests here.',
  path: 'The client must use the address of the endpoint.',
  legacy_sse: 'The client speaks the transport of 2024-11-05: it opens its stream first.',
};

export const adviceFor = (reason: string): string | undefined =>
  Object.hasOwn(ADVICE, reason) ? ADVICE[reason] : undefined;

const MEANINGS: Readonly<Record<string, string>> = {
  tool_error: 'its own answer says so (isError)',
  timed_out: 'longer than limits.callTimeoutMs',
  owner_lost: 'its instance died (owner_lost)',
  '-32602': 'arguments, or no such tool (-32602)',
  'once() key in doubt': 'once() in doubt: see sojourn once show',
  _OTHER: 'other errors',
};

/** Why a call failed: a class of error, a reason of this library, or the code of a JSON-RPC error. */
export const meaningOf = (why: string): string =>
  (Object.hasOwn(MEANINGS, why) ? MEANINGS[why] : undefined) ?? why;
