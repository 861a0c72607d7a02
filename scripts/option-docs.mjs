/**
 * The text of `docs/reference/options.md`: the comments of the option types, with kind and default. `pages.mjs` writes it.
 * A comment ends with `@default`, whose number `test/docs/options-reference.test.ts` compares with the table's.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './steps.mjs';

const FILES = {
  McpEndpointOptions: 'src/options/endpoint-options.ts',
  AuthOptions: 'src/options/auth-options.ts',
  TasksOptions: 'src/options/tasks-options.ts',
  EventRetention: 'src/types.ts',
  SessionLimits: 'src/options/limit-types.ts',
  UserLimits: 'src/options/limit-types.ts',
  ToolLimits: 'src/options/limit-types.ts',
};

/** Options that are objects: the type whose members are listed below them. */
const MEMBERS = {
  auth: 'AuthOptions',
  tasks: 'TasksOptions',
  'limits.perUser': 'UserLimits',
  'limits.perTool': 'ToolLimits',
};

/** The order of the page. Every option is in one topic. */
const TOPICS = {
  'The ten to know first': [
    'store',
    'auth',
    'sessionUser',
    'allowedHosts',
    'allowedOrigins',
    'sessionMode',
    'idleTimeoutMs',
    'hibernateAfterMs',
    'instanceKeys',
    'onerror',
  ],
  Sessions: [
    'maxIdleSessionCount',
    'tombstoneMs',
    'supportedProtocolVersions',
    'requestStateKeys',
    'sessionIdGenerator',
    'legacySse',
    'stateless',
  ],
  'Several instances': ['name', 'waitMs', 'leaseMs', 'relayedHeaders', 'credentialHeaders', 'bus'],
  'Calls and streams': [
    'tasks',
    'lostCalls',
    'resumeModernCalls',
    'responseMode',
    'eventRetention',
    'eventRetention.ttlMs',
    'eventRetention.events',
    'eventRetention.bytes',
    'keepAliveMs',
    'retryMs',
    'fleetRetryMs',
    'writeTimeoutMs',
    'sharedLists',
  ],
  'Your code': [
    'configureSessionOptions',
    'runSessionHandler',
    'perSessionExecutionContext',
    'aroundRequest',
    'sessionMigrationHandler',
    'hookTimeoutMs',
    'timeProvider',
  ],
  'Seeing what happens': ['logger', 'accessLog', 'logErrors', 'metrics', 'observe'],
  Limits: [
    'limits',
    'limits.perUser',
    'limits.perTool',
    'limits.memoryBytes',
    'limits.userShare',
    'limits.callMs',
    'limits.sessions',
    'limits.requests',
    'limits.requestsPerSession',
    'limits.subscriptions',
    'limits.bodyBytes',
    'limits.bodyKeys',
    'limits.batch',
    'limits.streamBufferBytes',
    'limits.stateBytes',
    'limits.sessionIdLength',
    'limits.waitingRequests',
    'limits.waitingBytes',
    'limits.storeBytes',
    'limits.eventLogBytes',
    'limits.tombstones',
  ],
};

const COMMENT = /\/\*\*((?:(?!\*\/)[^])*)\*\/\s+(\w+)\??:/g;

/** Member → its comment as one line, and its `@default`. */
export function commentsOf(type) {
  const text = readFileSync(join(root, FILES[type]), 'utf8');
  const body = text.slice(text.indexOf(`interface ${type} {`)).split('\n}\n')[0];
  return new Map(
    [...body.matchAll(COMMENT)].map(([, comment, name]) => {
      const line = comment.replaceAll(/\s*\n\s*\* ?|\s+/g, ' ').trim();
      const [said, preset] = line.split(/ ?@default /);
      return [name, { said, preset }];
    }),
  );
}

/** Option → what its comment says. `perUser` and `perTool` are documented where `limits` is. */
export function optionDocs() {
  const endpoint = commentsOf('McpEndpointOptions');
  const within = (group, type) => [...commentsOf(type)].map(([name, doc]) => [`${group}.${name}`, doc]);
  const shares = ['perUser', 'perTool'].map((name) => [`limits.${name}`, endpoint.get(name)]);
  for (const name of ['perUser', 'perTool']) endpoint.delete(name);
  const limits = within('limits', 'SessionLimits');
  return new Map([...endpoint, ...shares, ...within('eventRetention', 'EventRetention'), ...limits]);
}

/** `(docs/guide/hooks.md#aroundrequest)` → `([hooks](../guide/hooks.md#aroundrequest))` */
const withLinks = (text) =>
  text.replaceAll(/docs\/(\w+)\/([\w-]+)\.md(#[\w-]+)?/g, (_, folder, page, anchor = '') => {
    return `[${page.replaceAll('-', ' ')}](../${folder}/${page}.md${anchor})`.replace('../reference/', '');
  });

/** Switches that also take an object. */
const OBJECTS = { eventRetention: 'object or `false`', tasks: 'boolean or object' };

/** What kind of value it is. `flag`: what the command line says of it. */
function kindOf(name, flag) {
  const { kind, choices, range } = flag;
  if (Object.hasOwn(OBJECTS, name)) return OBJECTS[name];
  if (choices !== undefined) return choices.map((choice) => `\`'${choice}'\``).join(', ');
  if (kind === 'module') return 'module only';
  return { number: ['ms', 'bytes'].includes(range?.unit) ? range.unit : 'number', switch: 'boolean' }[kind] ?? kind;
}

/** The sections of the page. `flags`: option → what the command line says of it. */
export function optionSections(flags) {
  const docs = optionDocs();
  const placed = Object.values(TOPICS).flat();
  const missing = [...docs.keys()].filter((name) => !placed.includes(name));
  if (missing.length > 0) throw new Error(`Not in a topic of scripts/option-docs.mjs: ${missing.join(', ')}`);
  const entry = (name) => {
    const { said, preset } = docs.get(name) ?? {};
    if (said === undefined) throw new Error(`${name} has no comment in ${Object.values(FILES).join(', ')}`);
    const facts = [
      kindOf(name, flags.get(name) ?? { kind: 'module' }),
      ...(preset ? [`default ${quoted(preset)}`] : []),
    ];
    const members = MEMBERS[name] === undefined ? [] : [...commentsOf(MEMBERS[name])];
    const list = members.map(([member, doc]) => `- \`${member}\`: ${withLinks(doc.said)}`);
    const more = list.length > 0 ? `\n\n${list.map((item) => wrapped(item, '  ')).join('\n')}` : '';
    return `### \`${name}\`\n\n${wrapped(`_${facts.join(', ')}._ ${withLinks(said)}`)}${more}`;
  };
  return Object.entries(TOPICS)
    .map(([topic, names]) => `## ${topic}\n\n${names.map(entry).join('\n\n')}`)
    .join('\n\n');
}

/** `7,200,000 (2 h)` → `` `7,200,000` (2 h) `` */
const quoted = (preset) => preset.replace(/^(?:[\d.,]*\d|Infinity)/, '`$&`');

/** Lines of at most 120 characters. */
export function wrapped(text, indent = '') {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1);
    if (line !== '' && line.length + word.length >= 120) lines.push(`${indent}${word}`);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines.join('\n');
}
