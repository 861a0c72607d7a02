import { isMatrix } from '../kit/matrix.ts';
import { surviveSeeds } from './seeds.ts';

// 0.12 s each. `npm run simulate` runs more.
surviveSeeds(0, isMatrix ? 1_000 : 100);
