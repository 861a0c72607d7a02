/** The rules that no ready-made lint rule covers, as an oxlint plugin. */
import { analyse } from 'scslre';
import { fragment, hidingWords } from './words.mjs';

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

/** Lines of `//` below each other are one comment. */
function joined(comments, text) {
  const all = [];
  for (const comment of comments) {
    const before = all.at(-1);
    const between = before === undefined ? '-' : text.slice(before.node.range[1], comment.range[0]);
    if (comment.type === 'Line' && before?.node.type === 'Line' && /^\s*$/.test(between))
      all[all.length - 1] = { ...before, node: comment, text: `${before.text}\n${comment.value}` };
    else all.push({ first: comment, node: comment, text: comment.value });
  }
  return all;
}

/** Comments and texts for users say who acts, and a comment begins with a sentence. */
const plainWords = {
  create(context) {
    const words = (node, text) => {
      for (const word of hidingWords(text))
        context.report({ node, message: `"${word}" hides who acts or what is meant. Name it.` });
    };
    return {
      Literal: (node) => {
        if (typeof node.value === 'string') words(node, node.value);
      },
      TemplateElement: (node) => words(node, node.value.raw),
      JSXText: (node) => words(node, node.value),
      'Program:exit'() {
        const { sourceCode } = context;
        for (const { first, text } of joined(sourceCode.getAllComments(), sourceCode.text)) {
          words(first, text);
          const word = fragment(text);
          if (word !== undefined)
            context.report({ node: first, message: `A comment is a sentence: not "${word} …".` });
        }
      },
    };
  },
};

export default {
  meta: { name: 'house' },
  rules: { 'linear-regexp': linearRegexp, 'plain-words': plainWords },
};
