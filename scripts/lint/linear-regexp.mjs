/**
 * A regular expression must take time that grows with the length of its input, not with the square of that length.
 * Clients send up to 16 KiB of headers and URL, and bodies of megabytes: `/0+$/` on 80 KB of zeros takes seconds, in
 * which the process serves no other client. The analysis reads the expression and tries no input.
 *
 * It finds two unbounded repeats that can share characters (`/a+a+$/`, `/(a|b+)+/`), and one that begins again at each
 * character of a text that it does not match (`/ +$/`). Such an expression is a loop instead.
 */
import { analyse } from 'scslre';

/** Which text makes this expression slow; `undefined`: none does. */
function slowOn(source, flags) {
  const [report] = analyse({ source, flags }, { maxReports: 1 }).reports;
  return report && JSON.stringify(report.character.pick);
}

export const linearRegexp = {
  meta: { type: 'problem' },
  create(context) {
    const check = (node, source, flags) => {
      const slow = slowOn(source, flags);
      if (slow === undefined) return;
      context.report({
        node,
        message: `This expression is not linear: a long run of ${slow} makes it slow. Use a loop.`,
      });
    };
    const construct = (node) => {
      if (node.callee.type !== 'Identifier' || node.callee.name !== 'RegExp') return;
      context.report({ node, message: 'Write the expression as a literal, so that it can be checked.' });
    };
    return {
      Literal(node) {
        if (node.regex) check(node, node.regex.pattern, node.regex.flags);
      },
      NewExpression: construct,
      CallExpression: construct,
    };
  },
};
