/**
 * The house rules that no ready-made lint rule can hold, as an oxlint plugin. They see the syntax tree, so strings,
 * comments, shadowed names and type positions are never mistaken for use. `test/house/rules.test.ts` shows each one
 * refusing a file that breaks it.
 */
import { importDirections } from './import-directions.mjs';
import { injectedTime } from './injected-time.mjs';

export default {
  meta: { name: 'house' },
  rules: { 'import-directions': importDirections, 'injected-time': injectedTime },
};
