import { posix, sep } from 'node:path';

/** `base/` (containers, and how values are shown), and the files directly in `src/` besides `index.ts` with the folder of `errors.ts`. Every folder may import them. */
const LEAVES = new Set(['base', 'errors', 'types']);

/** Exports every error of the files in its folder. A list of their names would say nothing that they do not say. */
const ALL_ERRORS = 'errors.ts';

/** Which folders each folder may import, besides itself and the leaves. Imports go downward. */
const MAY_IMPORT = {
  leaf: [],
  protocol: [],
  sdk: ['options', 'protocol'],
  observe: ['protocol'],
  options: ['observe', 'protocol', 'stores'], // the option `store` names the store interface
  http: ['observe', 'options', 'protocol'],
  inbound: ['http', 'options', 'protocol'],
  limits: ['http', 'options', 'protocol'],
  stores: ['options', 'protocol'],
  clients: [],
  session: ['sdk', 'observe', 'clients', 'limits', 'inbound', 'stores', 'http', 'options', 'protocol'],
  cluster: ['sdk', 'observe', 'session', 'inbound', 'stores', 'http', 'options', 'protocol'],
  owned: ['stores', 'options', 'protocol'],
  once: ['owned', 'observe', 'session', 'limits', 'stores', 'http', 'options', 'protocol'],
  tasks: ['owned', 'eras', 'relay', 'session', 'limits', 'stores', 'http', 'options', 'protocol'],
  relay: ['sdk', 'observe', 'cluster', 'session', 'inbound', 'stores', 'http', 'options', 'protocol'],
  eras: [
    'owned',
    'sdk',
    'observe',
    'relay',
    'cluster',
    'session',
    'limits',
    'inbound',
    'stores',
    'http',
    'options',
    'protocol',
  ],
  definition: ['sdk', 'observe', 'session', 'options', 'protocol'],
  listen: ['sdk', 'observe', 'http', 'options'],
  auth: ['sdk', 'session', 'http', 'options', 'protocol'],
  endpoint: [
    'sdk',
    'observe',
    'limits',
    'listen',
    'auth',
    'dashboard',
    'definition',
    'once',
    'tasks',
    'eras',
    'relay',
    'cluster',
    'session',
    'inbound',
    'stores',
    'http',
    'options',
    'protocol',
  ],
  dashboard: ['observe', 'limits', 'listen', 'tasks', 'cluster', 'session', 'stores', 'http', 'options', 'protocol'],
  sealed: ['options', 'protocol'],
  otel: ['observe', 'endpoint', 'options', 'protocol'],
  testing: ['endpoint', 'definition', 'tasks', 'eras', 'stores', 'options', 'protocol'],
  cli: [
    'sdk',
    'owned',
    'once',
    'tasks',
    'observe',
    'otel',
    'dashboard',
    'endpoint',
    'listen',
    'testing',
    'stores',
    'options',
    'protocol',
    'index',
  ],
  index: [
    'sdk',
    'observe',
    'dashboard',
    'endpoint',
    'listen',
    'eras',
    'session',
    'stores',
    'http',
    'options',
    'protocol',
  ],
};

/** Which folders inside a room each of its folders must not import. */
const NOT_WITHIN = {
  'session/server': ['session/life'],
  'session/calls': ['session/life', 'session/server'],
  'session/streams': ['session/life', 'session/server', 'session/calls'],
  'session/record': ['session/life', 'session/server', 'session/streams'],
  'session/ownership': ['session/life', 'session/server', 'session/calls', 'session/streams', 'session/record'],
  eras: ['eras/legacy', 'eras/modern'],
  'eras/legacy': ['eras/modern'],
  'eras/modern': ['eras/legacy'],
};

/**
 * Packages that a folder may import besides Node's modules and the SDK: the CLI's own, and the stores' clients. The
 * build bundles the clients that `sojourn demo` runs.
 */
const PACKAGES = {
  auth: ['jose'],
  cli: ['commander', 'pino', 'tsx', '@modelcontextprotocol/client', '@modelcontextprotocol/sdk'],
  otel: ['@opentelemetry/api'],
  sdk: ['@modelcontextprotocol/sdk'],
  stores: ['libsql', 'pg', 'redis'],
};
const EVERYWHERE = '@modelcontextprotocol/server';

/** The folder of a path below `src/`, or `leaf`, or `index`; `undefined` for a file that must be in a folder. */
function roomOf(path) {
  const [first, ...rest] = path.split('/');
  if (rest.length > 0) return LEAVES.has(first) ? 'leaf' : first;
  const name = first.replace(/\.[cm]?[jt]s$/, '');
  if (name === 'index') return 'index';
  return LEAVES.has(name) ? 'leaf' : undefined;
}

function packageOf(specifier) {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

/** Why `from` (a path below `src/`) may not import `specifier`, or `undefined`. */
function complaint(from, specifier) {
  const room = roomOf(from);
  if (room === undefined) return `src/${from} belongs into a folder: only errors.ts and types.ts are beside index.ts.`;
  const allowed = MAY_IMPORT[room];
  if (!allowed) return `The room src/${room} has no row in scripts/lint/import-directions.mjs.`;
  if (specifier.startsWith('node:')) return undefined;
  if (!specifier.startsWith('.')) {
    const name = packageOf(specifier);
    if (name === EVERYWHERE || PACKAGES[room]?.includes(name)) return undefined;
    return `src/${from} must not import the package '${name}'.`;
  }
  const target = posix.join(posix.dirname(from), specifier);
  if (target.startsWith('..')) return `src/${from} must not import '${specifier}' from outside src/.`;
  const to = roomOf(target);
  const [folder, within] = [from, target].map((path) => posix.dirname(path));
  if (NOT_WITHIN[folder]?.includes(within)) return `${folder} must not import ${within} ('${specifier}').`;
  if (to === room || to === 'leaf' || allowed.includes(to)) return undefined;
  return `${room} must not import ${to ?? target} ('${specifier}'): it may import ${[...allowed, ...LEAVES].join(', ')}.`;
}

export const importDirections = {
  create(context) {
    const path = context.filename.split(sep).join('/');
    const from = path.slice(path.lastIndexOf('/src/') + '/src/'.length);
    const check = (node, source) => {
      if (typeof source?.value !== 'string') return;
      const message = complaint(from, source.value);
      if (message) context.report({ node, message });
    };
    return {
      ImportDeclaration: (node) => check(node, node.source),
      ExportNamedDeclaration: (node) => check(node, node.source),
      ExportAllDeclaration: (node) => {
        if (from !== ALL_ERRORS)
          context.report({ node, message: "'export *' hides what is exported: list the names." });
        check(node, node.source);
      },
      ImportExpression: (node) => check(node, node.source),
      TSImportType: (node) => check(node, node.source ?? node.argument),
    };
  },
};
