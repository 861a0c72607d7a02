/** The two rules that no ready-made lint rule covers, as an oxlint plugin. */
import { posix, sep } from 'node:path';
import { analyse } from 'scslre';

/** The folders of `src/`. A folder imports from those after it, and from its own row. Every folder imports from `LEAVES`. */
const LAYERS = [
  ['cli'],
  ['testing'],
  ['otel'],
  ['index'],
  ['endpoint'],
  ['dashboard'],
  ['tasks'],
  ['eras'],
  ['relay'],
  ['once'],
  ['definition'],
  ['cluster'],
  ['auth'],
  ['session'],
  ['owned'],
  ['listen'],
  ['limits'],
  ['inbound'],
  ['sealed'],
  ['sdk'],
  ['http'],
  ['stores', 'options'], // the option `store` names the store interface
  ['observe'],
  ['protocol'],
  ['clients'],
];
const LEAVES = ['base', 'errors', 'types'];

/** The packages that a folder imports, besides Node's modules and the SDK for servers. */
const PACKAGES = {
  auth: ['jose'],
  cli: ['commander', 'pino', 'tsx'],
  otel: ['@opentelemetry/api'],
  sdk: ['@modelcontextprotocol/sdk'],
  stores: ['libsql', 'pg', 'redis'],
};
const EVERYWHERE = '@modelcontextprotocol/server';

const layerOf = (room) => LAYERS.findIndex((row) => row.includes(room));
const roomOf = (path) => path.split('/')[0].replace(/\.ts$/, '');

/** Why `from` (a path below `src/`) may not import `specifier`, or undefined. */
function complaint(from, specifier) {
  if (specifier.startsWith('node:')) return undefined;
  const room = roomOf(from);
  if (!specifier.startsWith('.')) {
    const allowed = [EVERYWHERE, ...(PACKAGES[room] ?? [])];
    if (allowed.some((name) => specifier === name || specifier.startsWith(`${name}/`))) return undefined;
    return `src/${room} must not import the package '${specifier}'.`;
  }
  const target = posix.join(posix.dirname(from), specifier);
  if (target.startsWith('..')) return `src/${from} must not import '${specifier}' from outside src/.`;
  const to = roomOf(target);
  if (to === room || LEAVES.includes(to)) return undefined;
  if (!LEAVES.includes(room) && layerOf(room) === -1) return `src/${room} has no place in scripts/lint.mjs.`;
  if (!LEAVES.includes(room) && layerOf(to) >= layerOf(room)) return undefined;
  return `${room} must not import ${to} ('${specifier}'): imports go downward, see scripts/lint.mjs.`;
}

const importDirections = {
  create(context) {
    const path = context.filename.split(sep).join('/');
    const from = path.slice(path.lastIndexOf('/src/') + '/src/'.length);
    const check = (node, source) => {
      const message = typeof source?.value === 'string' ? complaint(from, source.value) : undefined;
      if (message) context.report({ node, message });
    };
    return {
      ImportDeclaration: (node) => check(node, node.source),
      ExportNamedDeclaration: (node) => check(node, node.source),
      ExportAllDeclaration: (node) => check(node, node.source),
      ImportExpression: (node) => check(node, node.source),
      TSImportType: (node) => check(node, node.source ?? node.argument),
    };
  },
};

/**
 * A regular expression must take time that grows with the length of its input, not with the square of that length:
 * `/0+$/` on 80 KB of zeros takes seconds, in which the process serves no other client. The analysis reads the
 * expression and tries no input.
 */
const linearRegexp = {
  create(context) {
    const check = (node) => {
      if (!node.regex) return;
      const { pattern: source, flags } = node.regex;
      const [report] = analyse({ source, flags }, { maxReports: 1 }).reports;
      if (report === undefined) return;
      const run = JSON.stringify(report.character.pick);
      context.report({
        node,
        message: `This expression is not linear: a long run of ${run} makes it slow. Use a loop.`,
      });
    };
    const construct = (node) => {
      if (node.callee.type === 'Identifier' && node.callee.name === 'RegExp')
        context.report({ node, message: 'Write the expression as a literal, so that it can be checked.' });
    };
    return { Literal: check, NewExpression: construct, CallExpression: construct };
  },
};

export default {
  meta: { name: 'house' },
  rules: { 'import-directions': importDirections, 'linear-regexp': linearRegexp },
};
