// @module-tag matrix
import { describe, test } from 'vitest';
import { proves } from './ablation.ts';
import { ABLATIONS } from './ablations.ts';
import { run } from './run.ts';

describe('without a rule the checker finds a violation', () => {
  test.each(ABLATIONS)('$rule', { timeout: 120_000 }, (ablation) => proves(run, ablation));
});
