/** Names that are no options here, and what says the same: each is refused with the name that was meant. */

/** Option names that another library has, and what says the same here. */
export const OF_OTHERS: Readonly<Record<string, readonly [of: string, here: string]>> = {
  legacy: [
    'createMcpHandler',
    "sessionMode ('hybrid', the default: 2025-era clients get sessions; 'stateless': they are served without; " +
      "to serve 2026-07-28 alone give supportedProtocolVersions: ['2026-07-28'])",
  ],
  maxSubscriptions: ['createMcpHandler', 'limits.subscriptions'],
  maxRequestBodySize: ['createMcpHandler', 'limits.bodyBytes'],
  eventStore: ['the SDK transport', 'store, with eventRetention for how much of a stream is kept'],
  enableJsonResponse: ['the SDK transport', "responseMode: 'json'"],
  onsessioninitialized: [
    'the SDK transport',
    "endpoint.notices.on('sessionOpened', …), or sessionMigrationHandler.onSessionInitialized",
  ],
  onsessionclosed: ['the SDK transport', "endpoint.notices.on('sessionEnded', …)"],
  enableDnsRebindingProtection: ['the SDK transport', 'allowedHosts and allowedOrigins'],
  retryInterval: ['the SDK transport', 'retryMs'],
  sessionTimeout: ['other servers', 'idleTimeoutMs, in ms'],
  cors: [
    'other servers',
    'allowedOrigins: the endpoint answers preflights and adds the headers itself',
  ],
  port: ['listen()', 'endpoint.listen({ port })'],
  host: ['listen()', 'endpoint.listen({ host })'],
  path: ['listen()', 'endpoint.listen({ path })'],
};

/**
 * Options and flags by a name that they do not have, as `limits.bodyBytes` or `authIssuer`, and their name here. The
 * command line reads it for flags and variables too.
 */
const MEANT: Readonly<Record<string, string>> = {
  name: 'deployment',
  aroundRequest: 'middleware',
  waitMs: 'maxWaitMs',
  logErrors: 'logErrorMessages',
  requestStateKeys: 'secrets',
  instanceKeys: 'secrets',
  'limits.requests': 'limits.sessionlessRequests',
  'limits.callMs': 'limits.callTimeoutMs',
  'eventRetention.ttlMs': 'eventRetention.maxAgeMs',
  'auth.optional': 'auth.anonymous',
  'tasks.authorize': 'tasks.authInfo',
  'tasks.limits': 'limits.perUser.tasks, limits.anonymousTasks or limits.runningTasks',
  'task().resume': 'afterCrash',
  'once().outside': 'withoutEndpoint',
  'listen().storeMayBeAway': 'requireStore: false',
  // Flags and variables alone.
  authIssuer: 'auth.jwt.issuer',
  authAudience: 'auth.jwt.audience',
  authJwksUri: 'auth.jwt.jwksUri',
  authUserClaim: 'auth.jwt.userClaim',
  authClockToleranceMs: 'auth.jwt.clockToleranceMs',
  authScopes: 'auth.requiredScopes',
};

/** What was meant by a name that is not near. */
export const meantName = (name: string): string | undefined =>
  Object.hasOwn(MEANT, name) ? MEANT[name] : undefined;

/** The same for the texts of flags or variables, which `spelled` makes of names. */
export function meantSpelling(text: string, spelled: (name: string) => string): string | undefined {
  const found = Object.entries(MEANT).find(([name]) => spelled(name) === text);
  return found && spelled(found[1]);
}
