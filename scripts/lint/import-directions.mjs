import { posix, sep } from 'node:path';

/** The files that join the rooms. Every other file directly in `src/` is a leaf that any room may import. */
const WIRING = new Set(['core', 'endpoint', 'listen', 'sessions']);
/** Folders that are a leaf grown too big for one file. */
const LEAF_FOLDERS = new Set(['options']);

/** What a room may import besides itself. Imports go downward. */
const MAY_IMPORT = {
  leaf: ['stores'], // options and types name the store interface
  http: ['leaf'],
  stores: ['leaf'],
  session: ['leaf', 'stores'],
  cluster: ['leaf', 'stores', 'session'],
  eras: ['leaf', 'stores', 'session', 'cluster', 'http'],
  wiring: ['leaf', 'stores', 'session', 'cluster', 'http', 'eras'],
  sealed: ['leaf'],
  testing: ['leaf', 'stores'],
  cli: ['leaf', 'stores', 'wiring', 'index'],
  index: ['leaf', 'stores', 'session', 'cluster', 'http', 'eras', 'wiring'],
};

/** Packages a room may import besides Node's own modules and the SDK: the CLI's own, and the stores' clients. */
const PACKAGES = { cli: ['commander', 'pino', 'tsx'], stores: ['libsql', 'pg', 'redis', '@nats-io/transport-node'] };
const EVERYWHERE = '@modelcontextprotocol/server';

/** The room of a path below `src/`: its folder, or for a top-level file what it is for. */
function roomOf(path) {
  const [first, ...rest] = path.split('/');
  if (rest.length > 0) return LEAF_FOLDERS.has(first) ? 'leaf' : first;
  const name = first.replace(/\.[cm]?[jt]s$/, '');
  if (name === 'index') return 'index';
  return WIRING.has(name) ? 'wiring' : 'leaf';
}

function packageOf(specifier) {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

/** What is wrong with `from` (a path below `src/`) importing `specifier`, or undefined. */
function complaint(from, specifier) {
  const room = roomOf(from);
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
  if (to === room || allowed.includes(to)) return undefined;
  const hint = room === 'leaf' ? ' A top-level file that joins rooms belongs to WIRING.' : '';
  return `${room} must not import ${to} ('${specifier}'): it may import ${allowed.join(', ')}.${hint}`;
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
        context.report({ node, message: "'export *' hides what is exported: list the names." });
        check(node, node.source);
      },
      ImportExpression: (node) => check(node, node.source),
      TSImportType: (node) => check(node, node.source ?? node.argument),
    };
  },
};
