/**
 * Members of other packages and of Node whose name begins with `_` are private: a minor version may move them. Only the
 * files that `.oxlintrc.json` names may use them; docs/internals/private-members.md says why, and what happens without
 * them. The specification's own `_meta` is public.
 */
const PRIVATE = /^_[a-z]/;
const PUBLIC = new Set(['_meta']);

const isPrivate = (name) => typeof name === 'string' && PRIVATE.test(name) && !PUBLIC.has(name);

export const privateMembers = {
  create(context) {
    const check = (node, name) => {
      if (isPrivate(name))
        context.report({
          node,
          message: `'${name}' is a private member of another package. docs/internals/private-members.md says where such members may be used.`,
        });
    };
    return {
      MemberExpression(node) {
        if (!node.computed && node.property.type === 'Identifier') check(node.property, node.property.name);
      },
      // In destructuring, and as the name that `Reflect.get` or a computed member takes.
      Property(node) {
        if (node.parent.type === 'ObjectPattern' && node.key.type === 'Identifier') check(node.key, node.key.name);
      },
      Literal(node) {
        check(node, node.value);
      },
    };
  },
};
