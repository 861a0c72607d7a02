import { surviveSeeds } from './seeds.ts';

surviveSeeds(0, 1_500);
