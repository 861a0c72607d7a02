import { surviveSeeds } from './seeds.ts';

surviveSeeds(1_500, 1_500);
