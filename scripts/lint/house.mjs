/**
 * The house rules that no ready-made lint rule covers, as an oxlint plugin. The rules read the syntax tree, so they
 * never mistake strings, comments, shadowed names and type positions for use. `test/house/rules.test.ts` shows each
 * rule refusing a file that breaks it.
 */
import { importDirections } from './import-directions.mjs';
import { injectedTime } from './injected-time.mjs';
import { linearRegexp } from './linear-regexp.mjs';
import { namedInterfaces } from './named-interfaces.mjs';
import { privateMembers } from './private-members.mjs';

export default {
  meta: { name: 'house' },
  rules: {
    'import-directions': importDirections,
    'injected-time': injectedTime,
    'linear-regexp': linearRegexp,
    'named-interfaces': namedInterfaces,
    'private-members': privateMembers,
  },
};
