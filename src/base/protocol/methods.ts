/**
 * The MCP methods of both eras, and what this library must know of each. A part that treats methods differently reads
 * it here, so a new method is one new row.
 *
 * A method without a row is the application's own, or one of a later revision. It must not run twice, `authorize` is
 * asked about it by its own name (`http/auth/request-names.ts`), no header mirrors it, and metrics show it as `_OTHER`. The
 * same holds for a request whose row says that clients do not send it.
 */

/** What a name is the name of. `template`: a resource, by its URI template. */
export type NameKind = 'tool' | 'prompt' | 'resource' | 'template';

export type ListChange = 'tools_list_changed' | 'prompts_list_changed' | 'resources_list_changed';

/** Where a request names one thing. */
export interface Named {
  readonly kind: NameKind;
  /** The member of `params`. */
  readonly member: 'name' | 'uri';
  /** A completion has the member in its `ref`, whose `type` says whether it is a prompt or a template. */
  readonly isInRef?: true;
  /** `authorize` is not asked: the request only ends what its caller was allowed to begin. */
  readonly isFree?: true;
}

/** A list: the member of its result that holds the items, what an item is, and the member with the item's name. */
export interface Listed {
  readonly items: 'tools' | 'prompts' | 'resources' | 'resourceTemplates';
  readonly kind: NameKind;
  readonly member: 'name' | 'uri' | 'uriTemplate';
  readonly change: ListChange;
}

/** What this library itself does with one method and no other. */
export type Role =
  | 'handshake'
  | 'ping'
  | 'discover'
  | 'listen'
  | 'subscribe'
  | 'getTask'
  | 'updateTask'
  | 'cancelTask'
  | 'listEvents'
  | 'pollEvents'
  | 'subscribeEvents'
  | 'unsubscribeEvents'
  | 'initialized'
  | 'cancel'
  | 'progress'
  | 'log'
  | 'updated'
  | 'acknowledged';

export interface McpMethod {
  readonly kind: 'request' | 'notification';
  /** Who may send it. What clients send is a label of metrics. */
  readonly from: 'client' | 'server' | 'both';
  readonly names: Named | undefined;
  readonly lists: Listed | undefined;
  /** The member of `params` that the header `Mcp-Name` mirrors in 2026-07-28. */
  readonly mirrored: 'name' | 'uri' | 'taskId' | undefined;
  /** Whether a request may run twice. `asListed`: as the server's list says of what it names. Default: `always`. */
  readonly repeats: 'always' | 'asListed' | 'never';
  /** The record of a session keeps its effect, and a restore sends it to the rebuilt server. */
  readonly replays:
    | 'handshake'
    | 'initialized'
    | 'level'
    | 'subscribed'
    | 'unsubscribed'
    | undefined;
  /** It runs the application's code for an effect. Clients repeat other requests, or a restore replays them. */
  readonly hasEffect: true | undefined;
  /** The list that it says has changed. */
  readonly changes: ListChange | undefined;
  /** The capability of a client that a server asks for with it. */
  readonly asks: 'sampling' | 'elicitation' | 'roots' | undefined;
  readonly role: Role | undefined;
}

/** A row of the table, without the members that it has as most rows do. */
type MethodRow = Pick<McpMethod, 'from'> & Partial<Omit<McpMethod, 'kind' | 'from'>>;

/** Every row has the same members, because rows are read several times for each call. */
const row = (kind: McpMethod['kind'], given: MethodRow): McpMethod => ({
  kind,
  from: given.from,
  names: given.names,
  lists: given.lists,
  mirrored: given.mirrored,
  repeats: given.repeats ?? 'always',
  replays: given.replays,
  hasEffect: given.hasEffect,
  changes: given.changes,
  asks: given.asks,
  role: given.role,
});

const REQUESTS: Readonly<Record<string, MethodRow>> = {
  initialize: { from: 'client', replays: 'handshake', role: 'handshake' },
  ping: { from: 'both', role: 'ping' },
  'server/discover': { from: 'client', role: 'discover' },
  'tools/list': {
    from: 'client',
    lists: { items: 'tools', kind: 'tool', member: 'name', change: 'tools_list_changed' },
  },
  'tools/call': {
    from: 'client',
    names: { kind: 'tool', member: 'name' },
    mirrored: 'name',
    repeats: 'asListed',
    hasEffect: true,
  },
  'prompts/list': {
    from: 'client',
    lists: { items: 'prompts', kind: 'prompt', member: 'name', change: 'prompts_list_changed' },
  },
  'prompts/get': {
    from: 'client',
    names: { kind: 'prompt', member: 'name' },
    mirrored: 'name',
    hasEffect: true,
  },
  'resources/list': {
    from: 'client',
    lists: {
      items: 'resources',
      kind: 'resource',
      member: 'uri',
      change: 'resources_list_changed',
    },
  },
  'resources/templates/list': {
    from: 'client',
    lists: {
      items: 'resourceTemplates',
      kind: 'template',
      member: 'uriTemplate',
      change: 'resources_list_changed',
    },
  },
  'resources/read': {
    from: 'client',
    names: { kind: 'resource', member: 'uri' },
    mirrored: 'uri',
    hasEffect: true,
  },
  'resources/subscribe': {
    from: 'client',
    names: { kind: 'resource', member: 'uri' },
    replays: 'subscribed',
    role: 'subscribe',
  },
  'resources/unsubscribe': {
    from: 'client',
    names: { kind: 'resource', member: 'uri', isFree: true },
    replays: 'unsubscribed',
  },
  'completion/complete': {
    from: 'client',
    names: { kind: 'template', member: 'uri', isInRef: true },
  },
  'logging/setLevel': { from: 'client', replays: 'level' },
  'subscriptions/listen': { from: 'client', role: 'listen' },
  'tasks/get': { from: 'client', mirrored: 'taskId', role: 'getTask' },
  'tasks/update': { from: 'client', mirrored: 'taskId', role: 'updateTask' },
  'tasks/cancel': { from: 'client', mirrored: 'taskId', role: 'cancelTask' },
  'events/list': { from: 'client', role: 'listEvents' },
  'events/poll': { from: 'client', role: 'pollEvents' },
  'events/subscribe': { from: 'client', role: 'subscribeEvents' },
  'events/unsubscribe': { from: 'client', role: 'unsubscribeEvents' },
  'tasks/list': { from: 'client' },
  'tasks/result': { from: 'client' },
  'sampling/createMessage': { from: 'server', asks: 'sampling' },
  'elicitation/create': { from: 'server', asks: 'elicitation' },
  'roots/list': { from: 'server', asks: 'roots' },
};

const NOTIFICATIONS: Readonly<Record<string, MethodRow>> = {
  'notifications/initialized': { from: 'client', replays: 'initialized', role: 'initialized' },
  'notifications/cancelled': { from: 'both', role: 'cancel' },
  'notifications/progress': { from: 'both', role: 'progress' },
  'notifications/roots/list_changed': { from: 'client' },
  'notifications/message': { from: 'server', role: 'log' },
  'notifications/tools/list_changed': { from: 'server', changes: 'tools_list_changed' },
  'notifications/prompts/list_changed': { from: 'server', changes: 'prompts_list_changed' },
  'notifications/resources/list_changed': { from: 'server', changes: 'resources_list_changed' },
  'notifications/resources/updated': { from: 'server', role: 'updated' },
  'notifications/elicitation/complete': { from: 'server' },
  'notifications/subscriptions/acknowledged': { from: 'server', role: 'acknowledged' },
  'notifications/tasks/status': { from: 'server' },
};

const UNKNOWN = row('request', { from: 'both', repeats: 'never', hasEffect: true });

const rows = new Map<string, McpMethod>();

/** Adds a row. A test adds one of its own. */
export function addMethod(method: string, kind: McpMethod['kind'], given: MethodRow): void {
  rows.set(method, row(kind, given));
}
for (const [method, given] of Object.entries(REQUESTS)) addMethod(method, 'request', given);
for (const [method, given] of Object.entries(NOTIFICATIONS))
  addMethod(method, 'notification', given);

/** The methods in the order of the table. */
export const methods: ReadonlyMap<string, McpMethod> = rows;

/** A method without a row has `UNKNOWN`: it is never repeated. */
export const methodOf = (method: string | undefined): McpMethod =>
  rows.get(method as string) ?? UNKNOWN;

/** Whether a client sends requests of this method. */
export function isKnownRequest(method: string): boolean {
  const { kind, from } = methodOf(method);
  return kind === 'request' && from !== 'server' && rows.has(method);
}

/** What holds for a request of a client. */
export const requestOf = (method: string): McpMethod =>
  isKnownRequest(method) ? methodOf(method) : UNKNOWN;

export const roleOf = (method: string | undefined): Role | undefined => methodOf(method).role;

/** Whether a request calls a tool. */
export const callsTool = (method: string | undefined): boolean =>
  methodOf(method).names?.kind === 'tool';

export const listsTools = (method: string | undefined): boolean =>
  methodOf(method).lists?.kind === 'tool';

/** Whether requests of this method name a tool or a prompt. */
export function takesName(method: string | undefined): boolean {
  const kind = methodOf(method).names?.kind;
  return kind === 'tool' || kind === 'prompt';
}

/** Whether requests of this method name a resource by a `uri` in their params. */
export const takesUri = (method: string): boolean => methodOf(method).names?.kind === 'resource';

/** Whether metrics show it. Of others they show `_OTHER`, so that no client makes a series. */
export const isLabel = (method: string): boolean =>
  rows.has(method) && methodOf(method).from !== 'server';
