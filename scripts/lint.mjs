/** The rule that no ready-made lint rule covers, as an oxlint plugin. */
import { analyse } from 'scslre';

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
        context.report({
          node,
          message: 'Write the expression as a literal, so that it can be checked.',
        });
    };
    return { Literal: check, NewExpression: construct, CallExpression: construct };
  },
};

export default {
  meta: { name: 'house' },
  rules: { 'linear-regexp': linearRegexp },
};
