/**
 * An object that must ask another one gets that object, typed by an interface with a name. Functions in the arguments
 * of `new X(…)` are refused: their reader has to find the caller to learn what they do, and they hide that an object is
 * used before it exists. The option `allow` lists classes whose constructor takes functions, such as timers.
 */
const FUNCTIONS = new Set(['ArrowFunctionExpression', 'FunctionExpression']);

/** The functions in an argument, but not those in a `new`, a call or a function within it. */
function functionsIn(node) {
  if (Array.isArray(node)) return node.flatMap(functionsIn);
  if (node === null || typeof node !== 'object' || typeof node.type !== 'string') return [];
  if (FUNCTIONS.has(node.type)) return [node];
  if (node.type === 'NewExpression' || node.type === 'CallExpression') return [];
  return Object.entries(node).flatMap(([key, value]) => (key === 'parent' ? [] : functionsIn(value)));
}

export const namedInterfaces = {
  meta: { schema: [{ type: 'object' }] },
  create(context) {
    const allowed = new Set(context.options[0]?.allow ?? []);
    return {
      NewExpression(node) {
        if (node.callee.type !== 'Identifier' || allowed.has(node.callee.name)) return;
        for (const found of functionsIn(node.arguments))
          context.report({
            node: found,
            message: `A function for '${node.callee.name}': pass the object itself, typed by an interface with a name.`,
          });
      },
    };
  },
};
