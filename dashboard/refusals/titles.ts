/** What a reason of a refusal means, in words. A reason that has none is shown as its word. */
const TITLES: Readonly<Record<string, string>> = {
  origin: 'A website calls that is not allowed',
  host: 'A host name that is not allowed',
  unauthorized: 'No valid access token',
  session_not_found: 'The session is not known',
  user: 'A session of another user',
  other_user: 'A session of another user',
  user_limit: 'One user is over a limit',
  user_share: 'One user has its share',
  too_many_requests: 'Too many requests',
  too_many_sessions: 'Too many sessions',
  memory: 'The memory budget is used up',
  path: 'A path that is not served',
  legacy_sse: 'A client of the transport before 2025',
  body_too_large: 'A request that is too large',
  not_acceptable: 'A client that cannot read the answer',
  unsupported_version: 'A revision that is not served',
  store_away: 'The store did not answer',
  closed: 'The instance was closing',
};

export function titleOf(reason: string): string {
  const words = reason.replaceAll('_', ' ');
  return (Object.hasOwn(TITLES, reason) ? TITLES[reason] : undefined) ?? words.charAt(0).toUpperCase() + words.slice(1);
}
