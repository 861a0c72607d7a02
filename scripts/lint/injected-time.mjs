/**
 * Time and randomness come from the system providers (src/base/system.ts), which tests and simulations replace.
 * Other code in `src/` must not read a clock, start a timer or draw a random number. The option `allow` lists names
 * that a file may use.
 */
const GLOBALS = new Set([
  'setTimeout',
  'setInterval',
  'setImmediate',
  'clearTimeout', // a handle of the injected time is invalid for the real timers
  'clearInterval',
]);

const MEMBERS = {
  Date: ['now'],
  performance: ['now', 'timeOrigin'],
  Math: ['random'],
  process: ['hrtime'],
  crypto: ['randomUUID', 'getRandomValues', 'randomBytes'],
  AbortSignal: ['timeout'],
};

const ROOTS = new Set(['globalThis', 'global']);
const MODULES = {
  timers: '*',
  'timers/promises': '*',
  perf_hooks: ['performance', 'monitorEventLoopDelay'],
  process: ['hrtime'],
  crypto: [
    'randomUUID',
    'randomBytes',
    'randomInt',
    'randomFill',
    'randomFillSync',
    'getRandomValues',
    'webcrypto',
    'generateKeySync',
    'generateKey',
  ],
};

const nameOf = (node) => (node.type === 'Identifier' ? node.name : node.value);

/** `a.b` and `a['b']` → 'b'; a computed name → undefined. */
function propertyOf(node) {
  if (!node.computed) return node.property.name;
  return node.property.type === 'Literal' ? node.property.value : undefined;
}

export const injectedTime = {
  meta: { schema: [{ type: 'object' }] },
  create(context) {
    const allowed = new Set(context.options[0]?.allow ?? []);
    const report = (node, name) => {
      if (allowed.has(name)) return;
      context.report({
        node,
        message: `'${name}' is not for src/: take time and randomness from the system providers.`,
      });
    };

    const isGlobal = (identifier) => {
      for (let scope = context.sourceCode.getScope(identifier); scope; scope = scope.upper) {
        const variable = scope.set.get(identifier.name);
        if (variable) return variable.defs.length === 0;
      }
      return true;
    };

    /** The name of a global, written as `Date` or `globalThis.Date`. */
    const globalName = (node) => {
      if (node.type === 'Identifier') return isGlobal(node) ? node.name : undefined;
      if (node.type !== 'MemberExpression' || node.object.type !== 'Identifier') return undefined;
      return ROOTS.has(node.object.name) && isGlobal(node.object) ? propertyOf(node) : undefined;
    };

    const checkImport = (node) => {
      const banned = MODULES[node.source.value.replace(/^node:/, '')];
      if (!banned || node.importKind === 'type') return;
      for (const specifier of node.specifiers) {
        if (specifier.type !== 'ImportSpecifier') {
          report(specifier, `the whole of ${node.source.value}`);
        } else if (specifier.importKind !== 'type') {
          const name = nameOf(specifier.imported);
          if (banned === '*' || banned.includes(name)) report(specifier, name);
        }
      }
    };

    return {
      ImportDeclaration: checkImport,
      ImportExpression(node) {
        const source = node.source.type === 'Literal' ? String(node.source.value) : '';
        if (MODULES[source.replace(/^node:/, '')]) report(node, `the whole of ${source}`);
      },
      Identifier(node) {
        const { parent } = node;
        if (!GLOBALS.has(node.name) || parent.type.startsWith('TS')) return;
        if (parent.type === 'MemberExpression' && parent.property === node && !parent.computed) return;
        if (parent.type === 'Property' && parent.key === node && !parent.computed && !parent.shorthand) return;
        if ((parent.type === 'PropertyDefinition' || parent.type === 'MethodDefinition') && parent.key === node) return;
        if (parent.type === 'ImportSpecifier' || parent.type === 'ExportSpecifier') return;
        if (isGlobal(node)) report(node, node.name);
      },
      MemberExpression(node) {
        const name = propertyOf(node);
        if (GLOBALS.has(name) && node.object.type === 'Identifier' && ROOTS.has(node.object.name)) report(node, name);
        const object = globalName(node.object);
        if (object !== undefined && Object.hasOwn(MEMBERS, object) && MEMBERS[object].includes(name)) {
          report(node, `${object}.${name}`);
        }
      },
      VariableDeclarator(node) {
        if (node.id.type !== 'ObjectPattern' || !node.init) return;
        const object = globalName(node.init);
        for (const property of node.id.properties) {
          if (property.type !== 'Property' || property.computed) continue;
          const name = nameOf(property.key);
          if (ROOTS.has(object) && GLOBALS.has(name)) report(property, name);
          if (Object.hasOwn(MEMBERS, object ?? '') && MEMBERS[object].includes(name))
            report(property, `${object}.${name}`);
        }
      },
      NewExpression(node) {
        if (node.arguments.length === 0 && globalName(node.callee) === 'Date') report(node, 'new Date()');
      },
      CallExpression(node) {
        if (globalName(node.callee) === 'Date') report(node, 'Date()');
      },
    };
  },
};
